"""What commands leave in the folder of ``--out`` where they are refused."""

import pytest
from program import EVERY, command_of

from xaudio.errors import OutputError
from xaudio.plugin import write_run

AT_ONCE = [("plugins", "new"), ("data", "fetch"), ("figure",)]
"""Commands whose folder or file comes by a rename, when all of it is there."""


def has_out(names):
    return any("--out" in parameter.opts for parameter in command_of(*names).params)


def needed(command):
    """Something for each parameter that must be given, but for --out."""
    for parameter in command.params:
        if parameter.required and "--out" not in parameter.opts:
            yield from ["x"] if parameter.param_type_name == "argument" else [parameter.opts[0], "x"]


@pytest.mark.parametrize("names", [names for names in EVERY if has_out(names) and names not in AT_ONCE], ids=" ".join)
@pytest.mark.parametrize("given", [(), ("--shard", "1/2")], ids=["alone", "part"])
def test_a_command_that_is_refused_leaves_no_new_folder(names, given, tmp_path, monkeypatch):
    """Unless it does a part of what other processes may be at."""
    command, out = command_of(*names), tmp_path / "new" / "out"
    if given and not any("--shard" in parameter.opts for parameter in command.params):
        pytest.skip("does all in one process")

    def refused(**options):
        write_run(out, settings={})
        (out / "work").mkdir()
        raise OutputError("refused")

    monkeypatch.setattr(command, "callback", refused)
    with pytest.raises(OutputError, match="refused"):
        command.main([*needed(command), "--out", str(out), *given], standalone_mode=False)
    assert [path.name for path in tmp_path.iterdir()] == (["new"] if given else [])


def test_commands_that_write_all_at_once_are_commands():
    assert [names for names in EVERY if names in AT_ONCE and has_out(names)] == AT_ONCE
