"""Arrays outside of compiled functions: operations on them are recorded, and run when a value is needed."""
