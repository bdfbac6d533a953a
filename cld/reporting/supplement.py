"""Set a preset's tables and figures as one PDF, in the supplement's order: ``cld supplement``."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from cld.config import load_config, load_preset
from cld.reporting.markup import filled
from cld.reporting.needed_runs import SUPPLEMENT
from cld.reporting.results_arguments import add_results_arguments
from cld.reporting.tables.render import code_version
from cld.reporting.targets import FIGURES, Targets, report_caption
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path, write_text
from cld.runtime.provenance import provenance

#: As the supplement has them.
ORDER = ("fig_a1", *SUPPLEMENT, "fig_a2", "fig_a3")
#: What compiles, the first that is there: a command, to which a folder and the file are added; how often.
ENGINES = {
    "tectonic": (["tectonic", "--outdir"], 1),
    "latexmk": (["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-outdir"], 1),
    "pdflatex": (["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-output-directory"], 2),
}


def main() -> None:
    """Set Tables A.1 to A.4 and Figures A.1 to A.3 as one PDF, with a TeX: tectonic, latexmk or pdflatex.

    They have to be there: snakemake all_tables all_figures makes them, snakemake supplement all of it.
    """
    parser = ArgumentParser(prog="cld supplement", description=main.__doc__)
    add_results_arguments(parser)
    args = parser.parse_args()
    folder = Path(args.results) / args.preset
    write_text(folder / "supplement.tex", assembled(args.preset, folder))
    compile_pdf(folder / "supplement.tex")
    print(f"supplement: {folder / 'supplement.pdf'}")


def assembled(preset: str, folder: Path) -> str:
    """The document: LaTeX, to be compiled in ``folder``, which has the preset's tables and figures.

    Raises:
        InputError: one of them is missing.
    """
    targets = Targets(load_config())
    made = [*targets.supplement_tables(preset), *targets.supplement_figures(preset)]
    parts = []
    for name in filter(made.__contains__, ORDER):
        path = Path("figures" if name in FIGURES else "tables") / name
        path = path.with_suffix(".pdf" if name in FIGURES else ".tex")
        if not (folder / path).is_file():
            raise InputError(f"{folder / path}: is not there yet; snakemake {name} makes it")
        if name in FIGURES:
            parts.append({"file": path.as_posix(), **report_caption(preset, name)})
        else:
            parts.append({"table": (folder / path).read_text(encoding="utf-8")})
    values = {
        "preset": preset,
        "scale": load_preset(preset)["title"],
        "code": code_version(provenance()["code"]),
        "missing": [name for name in ORDER if name not in made],
        "parts": parts,
    }
    return filled("supplement.tex.j2", values)


def compile_pdf(document: Path) -> None:
    """Compile a document in its folder; the PDF lies beside it, and nothing else.

    Raises:
        InputError: there is no TeX, or it fails.
    """
    engine = next(filter(shutil.which, ENGINES), None)
    if engine is None:
        raise InputError(f"{document}: no TeX here to compile it; install one of {', '.join(ENGINES)}")
    command, passes = ENGINES[engine]
    with tempfile.TemporaryDirectory() as out:
        for _ in range(passes):
            done = subprocess.run(
                [*command, out, document.name],
                cwd=document.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        made = Path(out) / document.with_suffix(".pdf").name
        if done.returncode or not made.is_file():
            said = [line for line in done.stdout.splitlines() if line.startswith(("!", "error"))]
            reason = said[0].lstrip("! ") if said else f"exit status {done.returncode}"
            raise InputError(f"{document}: {engine} fails ({reason}); run it by hand there to see why")
        with atomic_path(document.with_suffix(".pdf")) as temporary:
            shutil.copyfile(made, temporary)
