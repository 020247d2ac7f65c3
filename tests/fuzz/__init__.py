"""Every parser of what comes from outside, given bytes that nobody meant to send."""
