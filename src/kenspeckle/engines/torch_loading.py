"""Networks out of the folder of a checkpoint, by transformers: weights only, no code, whole or not.

What may go wrong in there is of many kinds; outside it is a ModelError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kenspeckle.errors import ModelError

_SAFE = {"local_files_only": True, "trust_remote_code": False}


def device_of(torch: Any, device: str) -> str:
    """The device by the name that torch gives it. Raises ModelError where torch cannot use it."""
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"device {device}", f"torch cannot use it ({first})") from error
    return str(found)


def described(
    transformers: Any, folder: Path, thing: Path, said: Mapping[str, Any] | None = None
) -> Any:
    """The configuration of a checkpoint: of its folder, or as `said`. Raises ModelError."""
    try:
        with quiet(transformers.logging):
            if said is not None:
                kept = {key: value for key, value in said.items() if key != "model_type"}
                return transformers.AutoConfig.for_model(said["model_type"], **kept)
            return transformers.AutoConfig.from_pretrained(folder, **_SAFE)
    except Exception as error:  # a damaged checkpoint can raise any kind in there
        raise refusal(thing, error) from error


def network(
    transformers: Any,
    name: str,
    folder: Path,
    config: Any,
    thing: Path,
    *,
    renamed: Mapping[str, str] | None = None,
    dtype: str = "float32",
) -> Any:
    """The network of class `name`, with every weight that it has.

    `renamed` maps patterns of the names in the file to those of the network; `dtype` `auto` is that
    of the file. Raises ModelError where weights are missing, or code is needed.
    """
    more = {"key_mapping": dict(renamed)} if renamed else {}
    try:
        with quiet(transformers.logging):
            made, report = getattr(transformers, name).from_pretrained(
                folder,
                config=config,
                weights_only=True,
                dtype=dtype,
                output_loading_info=True,
                **more,
                **_SAFE,
            )
    except Exception as error:  # a damaged checkpoint can raise any kind in there
        raise refusal(thing, error) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            thing, f"{len(missing)} weights are missing, {missing[0]} first", expected="all of them"
        )
    return made.eval()


def words(transformers: Any, folder: Path, thing: Path) -> Any:
    """The tokenizer of a checkpoint. Raises ModelError."""
    try:
        with quiet(transformers.logging):
            return transformers.AutoTokenizer.from_pretrained(folder, **_SAFE)
    except Exception as error:  # a damaged checkpoint can raise any kind in there
        raise refusal(thing, error) from error


def processor(transformers: Any, folder: Path, thing: Path) -> Any:
    """What makes a network's input of pictures and words. Raises ModelError."""
    try:
        with quiet(transformers.logging):
            return transformers.AutoProcessor.from_pretrained(folder, **_SAFE)
    except Exception as error:  # a damaged checkpoint can raise any kind in there
        raise refusal(thing, error) from error


def refusal(thing: Path, error: Exception) -> ModelError:
    """What an error of the library means."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ModelError(thing, f"transformers cannot load it ({first})")


@contextmanager
def quiet(logging: Any) -> Iterator[None]:
    """Keep the library's progress bars and remarks about unused weights off the terminal."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
