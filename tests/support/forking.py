"""A child that does one thing, for programs that tests start."""

import os
import signal
import sys
import traceback
from collections.abc import Callable


def in_a_child(use: Callable[[], object]) -> None:
    """Fork; print what the child's use of a client gives, or why it is refused. Any other end of the child's is an error."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        signal.alarm(10)
        try:
            told = str(use())
        except RuntimeError as error:
            told = str(error)
        except BaseException:  # noqa: BLE001 - it may not go on with what is the parent's
            traceback.print_exc()
            os._exit(1)
        os.write(1, f"{told}\n".encode())
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with {os.waitstatus_to_exitcode(status)}"
