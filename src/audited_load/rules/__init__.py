"""The kinds of values: what of a text is a number or a date, and what is refused."""
