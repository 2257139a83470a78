"""What the short way says when it does not judge."""


class NotPlain(Exception):
    """Something that the short way does not judge; the full validator has to."""
