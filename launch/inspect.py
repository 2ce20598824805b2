r"""Looks at photographs without solving anything: compression, noise, clipping, blur, and what would help.

python launch/inspect.py --input='photos/*.jpg' --json=photos.json
"""

if __name__ == "inspect":
    # A library means Python's own module, and this folder is searched first while a launch runs: be that module.
    import os

    with open(os.path.join(os.path.dirname(os.__file__), "inspect.py"), encoding="utf-8") as file:
        exec(compile(file.read(), file.name, "exec"))
else:
    from absl import flags

    from blindsr_jax.runs import cli, look

    _INPUT = flags.DEFINE_string("input", None, "Image, folder or glob (quoted).")
    _JSON = flags.DEFINE_string("json", None, "File for what was seen, a list with an entry per image; default none.")
    flags.mark_flags_as_required(["input"])

    def main() -> int:
        """Prints a table and advice."""
        return look.run(_INPUT.value, _JSON.value)

    if __name__ == "__main__":
        cli.run(main)
