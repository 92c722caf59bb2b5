#!/usr/bin/env python3
"""The gap log Z - ELBO of Langevin dynamics against their number of steps: reversed by themselves, and with a learned reversal.

Runs the recipes TARGET-ula and TARGET-mcd with as many steps as asked, prints a table, and draws it as an SVG. Needs nothing but
the standard library and the program.
"""

import argparse
import json
import math
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
METHODS = {"ula": ("ULA", "#c1440e"), "mcd": ("MCD", "#1f5f8b")}


def measured(program, target, method, steps, settings):
    """The gap, and the standard error of the ELBO, of one run."""
    with tempfile.TemporaryDirectory() as directory:
        command = [program, "run", f"{target}-{method}", "--set", f"model.0.steps={steps}"]
        command += [word for setting in settings for word in ("--set", setting)]
        command += ["--out", f"{directory}/run", "--json", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    metrics = json.loads(done.stdout)["metrics"]
    return metrics["log_z_reference"] - metrics["elbo"], metrics["elbo_se"]


def picture(target, gaps):
    """Gaps on logarithmic axes, with bars of two standard errors."""
    width, height, left, right, top, bottom = 480, 320, 60, 60, 30, 45
    steps = sorted({int(k) for of in gaps.values() for k in of})
    values = [gap for of in gaps.values() for gap, _ in of.values()]
    low, high = math.log(min(values) / 1.3), math.log(max(values) * 1.3)
    x = lambda k: left + (width - left - right) * math.log(k / steps[0]) / math.log(steps[-1] / steps[0])
    y = lambda gap: top + (height - top - bottom) * (high - math.log(gap)) / (high - low)
    text = '<text x="{:.0f}" y="{:.0f}" text-anchor="{}" fill="{}">{}</text>'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        text.format(width / 2, 18, "middle", "#222", f"{target}: log Z - ELBO (nats)"),
        text.format(width / 2, height - 8, "middle", "#222", "steps"),
    ]
    for k in steps:
        lines.append(f'<path d="M{x(k):.1f} {top}V{height - bottom}" stroke="#e4e4e4"/>')
        lines.append(text.format(x(k), height - bottom + 17, "middle", "#222", k))
    for tick in [base * 10**power for power in range(-3, 4) for base in (1, 2, 5)]:
        if low < math.log(tick) < high:
            lines.append(f'<path d="M{left} {y(tick):.1f}H{width - right}" stroke="#e4e4e4"/>')
            lines.append(text.format(left - 6, y(tick) + 4, "end", "#222", f"{tick:g}"))
    for method, of in gaps.items():
        name, colour = METHODS[method]
        points = [(x(int(k)), gap, error) for k, (gap, error) in sorted(of.items(), key=lambda entry: int(entry[0]))]
        path = "L".join(f"{at:.1f} {y(gap):.1f}" for at, gap, _ in points)
        lines.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for at, gap, error in points:
            ends = [y(gap + 2 * error), y(max(gap - 2 * error, math.exp(low)))]
            lines.append(f'<path d="M{at:.1f} {ends[0]:.1f}V{ends[1]:.1f}" stroke="{colour}"/>')
            lines.append(f'<circle cx="{at:.1f}" cy="{y(gap):.1f}" r="3" fill="{colour}"/>')
        lines.append(text.format(points[-1][0] + 8, y(points[-1][1]) + 4, "start", colour, name))
    return "\n".join([*lines, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=["ionosphere", "sonar"])
    parser.add_argument("--steps", default="8,16,32,64,128", help="numbers of steps")
    parser.add_argument("--set", action="append", default=[], help="a setting of the recipes, key=value")
    parser.add_argument("--program", default=str(ROOT / "target/release/anabranch"))
    parser.add_argument("--results", type=pathlib.Path, help="a JSON file of gaps: read where it exists, else written")
    parser.add_argument("--out", type=pathlib.Path, help="the SVG")
    arguments = parser.parse_args()
    gaps = {method: {} for method in METHODS}
    if arguments.results and arguments.results.exists():
        gaps = json.loads(arguments.results.read_text())
    else:
        for steps in arguments.steps.split(","):
            for method in METHODS:
                gaps[method][steps] = measured(arguments.program, arguments.target, method, int(steps), arguments.set)
                gap, error = gaps[method][steps]
                print(f"{arguments.target} {method} {steps:>4}  {gap:.3f} +- {error:.3f}", flush=True)
        if arguments.results:
            arguments.results.write_text(json.dumps(gaps))
    if arguments.out:
        arguments.out.write_text(picture(arguments.target, gaps))


if __name__ == "__main__":
    main()
