"""The schedules of contractions: whether each fits, which tile and which blocks it takes, and what it costs."""
