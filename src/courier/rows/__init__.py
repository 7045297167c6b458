"""The rows of an audience: what each is judged to be, how they are staged, counted and compared."""
