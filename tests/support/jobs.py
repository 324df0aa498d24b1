"""A job that needs no torch: squares, with whatever goes wrong as the row says."""

import os
import signal
import time
from pathlib import Path

from xaudio import OutputError, XaudioError


class Squares:
    """Rows {"number": n, ...}: "missing" is a file that is not there, "wrong" fails, "kills" kills the process."""

    digest = "squares"

    def __init__(self, seconds=0.0, log="", most=99):
        self.seconds, self.log, self.most = seconds, log, most

    def load(self, row):
        if "missing" in row.fields:
            Path(row.fields["missing"]).read_bytes()
        return row.fields["number"]

    def run(self, rows, loaded, folder):
        if self.log:
            with open(self.log, "a") as file:
                file.write(" ".join(map(str, loaded)) + "\n")
        time.sleep(self.seconds * len(rows))
        if any(row.fields.get("kills") for row in rows):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(row.fields.get("wrong") for row in rows):
            raise XaudioError("this row is wrong")
        if any(row.fields.get("bug") for row in rows):
            raise ZeroDivisionError("a bug")
        if any(row.fields.get("full") for row in rows):
            raise OutputError("x: cannot be written") from OSError(28, "No space left on device")
        if len(rows) > self.most:
            raise MemoryError
        return [{"square": number**2, "beside": sorted(loaded)} for number in loaded]


def numbered(count, **special):
    """Rows 0 to count; ``special`` are fields by the number of a row."""
    return [{"source": f"{number}.wav", "number": number, **special.get(f"n{number}", {})} for number in range(count)]
