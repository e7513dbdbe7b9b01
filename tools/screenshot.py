"""Takes the four pictures of the page that people look at: light and dark, wide and phone.

    python tools/screenshot.py http://127.0.0.1:8400 [--to docs/images] [--open 0x…]

Needs Chromium (Debian: apt-get install chromium). Pictures are reduced to a palette when that keeps them small.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = {
    "dashboard-light": ("light", 1440, 1000),
    "dashboard-dark": ("dark", 1440, 1000),
    "phone": ("light", 390, 1300),
    "phone-dark": ("dark", 390, 1300),
}
SETTLE_MS = 1000  # fonts and the first answers are there by then


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url", help="where the page is served")
    parser.add_argument("--to", type=Path, default=Path("docs/images"), help="folder for the pictures")
    parser.add_argument("--open", metavar="ID", help="show the details of this message")
    parser.add_argument("--full", action="store_true", help="the whole page instead of the first screen")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("no chromium found; install it (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    options.to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in PICTURES:
            picture = take(browser, name, options.url.rstrip("/"), options.to, options.open, full=options.full)
            print(f"{picture} {picture.stat().st_size // 1000} kB")
        browser.close()
    return 0


def take(browser: Browser, name: str, url: str, folder: Path, opened: str | None, *, full: bool) -> Path:
    scheme, width, height = PICTURES[name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",  # no row is caught half arrived
        device_scale_factor=2 if name.startswith("phone") else 1,
    )
    page = context.new_page()
    page.goto(f"{url}/#/messages/{opened}" if opened else url)
    page.wait_for_selector("#live[data-state=live]")
    page.wait_for_selector(".feed, .card-empty")
    page.wait_for_timeout(SETTLE_MS)
    picture = folder / f"{name}.png"
    page.screenshot(path=picture, full_page=full)
    context.close()
    shrink(picture)
    return picture


def shrink(picture: Path) -> None:
    """With pngquant, where it is installed; a flat page loses nothing that an eye can see."""
    pngquant = shutil.which("pngquant")
    if pngquant:
        subprocess.run([pngquant, "--force", "--ext", ".png", "--speed", "1", "256", str(picture)], check=True)


if __name__ == "__main__":
    sys.exit(main())
