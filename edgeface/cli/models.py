"""The model packages: those that ship and those of one's own.

examples:
  edgeface models list
  edgeface models show facenet -o facenet.svg
  edgeface models new my_model --tflite arcface_int8.tflite
  edgeface models check my_model
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgeface.base.errors import ModelError
from edgeface.cli.models_new import add_new
from edgeface.cli.models_show import add_show
from edgeface.inference.check import PackageReport, check_package, check_together
from edgeface.inference.edgetpu_rules import OPERATORS, count_operators
from edgeface.inference.flatbuffer import TensorFacts
from edgeface.inference.package import find_package, load_package, packages_in
from edgeface.inference.runtimes import find_runtime
from edgeface.settings.places import shipped_models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs `list`, `check`, `show` and `new`."""
    verbs = parser.add_subparsers(dest="models_verb", required=True, metavar="VERB")
    for verb, text in (
        ("list", "one line for each package"),
        ("check", "audit the files and run the golden input; status 1 when a rule is broken"),
    ):
        sub = verbs.add_parser(verb, help=text, description=text)
        sub.add_argument(
            "folder",
            nargs="?",
            metavar="DIR|NAME",
            help="a package, a folder of packages or the name of a model that ships (default:"
            " all that ship)",
        )
    add_show(verbs)
    add_new(verbs)


def run(args: argparse.Namespace) -> int:
    """Print the table. Raises ModelError when there is no package at all."""
    packages = packages_in(find_package(args.folder) if args.folder else shipped_models())
    if not packages:
        raise ModelError(
            f"{args.folder or shipped_models()}: no model packages there (folders with a"
            " model.yaml); a name alone is one of `edgeface models list`"
        )
    return _check(packages) if args.models_verb == "check" else _list(packages)


def _list(packages: tuple[Path, ...]) -> int:
    status = 0
    for path in packages:
        try:
            package = load_package(path)
        except ModelError as error:
            print(f"edgeface: error: {error}", file=sys.stderr)
            status = error.exit_code
            continue
        description = package.description
        where = "cpu, edgetpu" if package.compiled else "cpu"
        print(
            f"{description.name:<20} {description.version:<12} {description.task:<16} "
            f"{description.input.width}x{description.input.height:<5} {where:<13} "
            f"sha256:{package.sha256[:16]}  {path}"
        )
    return status


def _check(packages: tuple[Path, ...]) -> int:
    runtime = find_runtime()
    print(f"runtime {runtime.name} {runtime.version}")
    reports = [check_package(path, runtime) for path in packages]
    for report in reports:
        print()
        _print_report(report)
    together = check_together(reports)
    faults = [(str(report.folder), fault) for report in reports for fault in report.faults]
    faults += [("all packages", fault) for fault in together]
    if len(reports) > 1:
        total = sum(report.parameter_bytes for report in reports)
        print(f"\ntogether {total / 1e6:.2f} MB of parameters")
    for where, fault in faults:
        text = fault if fault.startswith(where) else f"{where}: {fault}"
        print(f"edgeface: error: {text}", file=sys.stderr)
    return 1 if faults else 0


def _print_report(report: PackageReport) -> None:
    package, graph = report.package, report.graph
    if package is None or graph is None:
        print(f"{report.folder}\n  REFUSED: cannot be loaded")
        return
    description = package.description
    print(f"{description.name} {description.version}  ({description.task})  {report.folder}")
    print(
        f"  size        {graph.size_bytes / 1e6:.2f} MB, {graph.parameters:,} parameters in "
        f"{graph.parameter_bytes / 1e6:.2f} MB"
    )
    for file, sha256 in sorted(description.files.items()):
        print(f"  sha256      {sha256}  {file}")
    for end, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for index in tensors:
            print(f"  {end:<11} {_tensor_line(graph.tensors[index])}")
    print(f"  {'operator':<24} {'count':>5} {'version':>8} {'allowed up to':>14}")
    for operator in count_operators(graph):
        rule = OPERATORS.get(operator.name)
        allowed = str(rule.highest) if rule is not None else "none"
        print(f"  {operator.name:<24} {operator.count:>5} {operator.version:>8} {allowed:>14}")
    if report.compiled is not None:
        rest = sum(not operator.custom for operator in report.compiled.operators)
        where = f"{rest} operators of it on the CPU" if rest else "whole on the Edge TPU"
        size = report.compiled.size_bytes / 1e6
        print(f"  compiled    {size:.2f} MB, {where}; not run, edgeface doctor does")
    print(f"  golden run  {report.golden or 'could not be run'}")
    print(f"  {'REFUSED: ' + str(len(report.faults)) + ' faults' if report.faults else 'ok'}")


def _tensor_line(tensor: TensorFacts) -> str:
    scale = f"scale {tensor.scales[0]:.6g}" if len(tensor.scales) == 1 else "no single scale"
    zero = f", zero point {tensor.zero_points[0]}" if len(tensor.zero_points) == 1 else ""
    return f"{tensor.name:<20} {tensor.dtype:<8} {list(tensor.shape)!s:<18} {scale}{zero}"
