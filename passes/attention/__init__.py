"""Attention: its schedules and the choice between them."""
