"""How a fault becomes one line and an exit code: 2 for what the operator can mend, 1 for a refusal."""

from oddswire.errors import InvalidInput, OddswireError, OperatorError

UNREACHABLE = "server_unreachable"


def usage(detail: str) -> OperatorError:
    """Return the error for a command that makes no sense as it was given."""
    return OperatorError("usage", detail)


def one_line(fault: OddswireError) -> str:
    """Return what happened and what to do next, in one line."""
    said = " ".join(fault.detail.split())
    if fault.path:
        said = f"{said.rstrip('.')} (at {fault.path})"
    if not said.endswith((".", "!", "?")):
        said += "."
    return f"error: {said} {fault.meaning.action}"


def exit_code(fault: OddswireError) -> int:
    """Return 2 for a fault of the call or of this machine, 1 where somebody said no."""
    mendable = isinstance(fault, OperatorError | InvalidInput) or fault.code == UNREACHABLE
    return 2 if mendable else 1
