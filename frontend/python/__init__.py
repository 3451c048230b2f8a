"""Python functions as programs: traced with arrays that stand for values of `ml`."""
