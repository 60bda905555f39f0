"""Which frames of a film are worth labelling."""
