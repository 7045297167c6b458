"""Step select: who is in an audience, and who of them may be written to."""
