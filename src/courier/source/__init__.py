"""Step read: where the profiles are, and what their schema says."""
