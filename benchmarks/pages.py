"""Opens reports in a headless Chromium, narrow and wide, light and dark, all folds open: nothing may stick out of the page.

    python3 benchmarks/pages.py [--shots DIR] runs/*/report.html

needs `chromium` (or `google-chrome`) on the path. What may scroll by itself (tables of several runs, recipes) is no overflow.
"""

import argparse
import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

WIDTHS = [400, 1200]

# The page in a frame of the width that is asked for: windows of Chromium have a least width of their own.
FRAME = """<!DOCTYPE html><html><body style="margin:0;background:{paper}"><iframe id="page" src="{page}"
style="border:0;width:{width}px;height:{height}px;color-scheme:{scheme}"></iframe>
<script>
const frame = document.getElementById("page");
frame.onload = () => {{
  const page = frame.contentDocument, found = [];
  page.querySelectorAll("details").forEach(fold => fold.open = true);
  const scrolls = node => node && (["auto", "scroll", "hidden"].includes(frame.contentWindow.getComputedStyle(node).overflowX)
    || (node.ownerSVGElement) || scrolls(node.parentElement));
  for (const node of page.body.querySelectorAll("*")) {{
    const box = node.getBoundingClientRect();
    if (box.width > 0 && box.right > {width} + 0.5 && !scrolls(node.parentElement) && !node.ownerSVGElement)
      found.push(node.tagName + " " + Math.round(box.right) + " " + (node.textContent || "").slice(0, 40));
  }}
  const result = {{ width: page.documentElement.scrollWidth, height: page.documentElement.scrollHeight, found }};
  document.body.setAttribute("data-result", JSON.stringify(result));
}};
</script></body></html>"""


def browser():
    for name in ["chromium", "google-chrome", "chromium-browser"]:
        if shutil.which(name):
            return name
    sys.exit("no chromium on the path")


def opened(program, page, width, dark, height, shot=None):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
    # The frame follows the reader's scheme as the page does.
    if dark:
        flags += ["--blink-settings=preferredColorScheme=0"]
    with tempfile.TemporaryDirectory() as directory:
        frame = pathlib.Path(directory) / "frame.html"
        scheme, paper = ("dark", "#14171b") if dark else ("light", "#ffffff")
        frame.write_text(FRAME.format(page=page.resolve().as_uri(), width=width, height=height, scheme=scheme, paper=paper))
        flags += [f"--window-size={max(width, 500)},{height}"]
        flags += [f"--screenshot={shot}"] if shot else ["--virtual-time-budget=5000", "--dump-dom"]
        ended = subprocess.run([program, *flags, frame.as_uri()], capture_output=True, text=True, timeout=300)
        found = re.search(r'data-result="([^"]*)"', ended.stdout)
        return json.loads(html.unescape(found.group(1))) if found else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shots", type=pathlib.Path)
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    program, wrong = browser(), 0
    for page in arguments.pages:
        for width in WIDTHS:
            found = opened(program, page, width, False, 2000)
            if found is None:
                sys.exit(f"{page}: the browser said nothing")
            fits = found["width"] <= width and not found["found"]
            wrong += not fits
            print(f"{page} at {width}: {'fits' if fits else found}")
            if arguments.shots:
                arguments.shots.mkdir(parents=True, exist_ok=True)
                for dark in [False, True]:
                    name = f"{page.resolve().parent.name}-{width}-{'dark' if dark else 'light'}.png"
                    opened(program, page, width, dark, min(found["height"], 16000), arguments.shots / name)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
