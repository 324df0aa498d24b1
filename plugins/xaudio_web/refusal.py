"""What a request is refused with."""


class RefusedError(Exception):
    """A request that changes nothing: the HTTP status, a code for the page, and one line."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
