"""Checkers of what Harbinger sends. They share no code with the formatter and read nothing but bytes."""
