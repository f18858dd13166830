"""--compile: what torch.compile cannot do here, in one line."""

from __future__ import annotations

import sys

from imagestore.console import UserError


def compiler_error(error: BaseException) -> UserError | None:
    """What to say of an error of torch.compile, such as a missing C++ compiler; None for other errors."""
    errors = sys.modules.get("torch._dynamo.exc")  # torch imports it when it compiles
    if errors is None or not isinstance(error, errors.TorchDynamoException):
        return None
    why = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(
        f"--compile: torch.compile cannot compile this network here ({why}); leave --compile out"
    )
