"""The report in a real browser: no console error, and every chart has marks."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from raykd.report.build import build_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--v=0", "--window-size=1280,3000", "--virtual-time-budget=30000",
)  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def opened(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The DOM after the page's script ran, and what the browser logged."""
    folder = tmp_path_factory.mktemp("browser")
    page = build_report(run_folder, folder / "report.html")
    done = subprocess.run(
        [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom",
         page.as_uri()],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr


def test_the_console_stays_empty(opened: tuple[str, str]):
    assert [line for line in opened[1].splitlines() if "CONSOLE" in line] == []


def test_every_chart_has_marks(opened: tuple[str, str]):
    dom = re.sub(r"<script.*?</script>", "", opened[0], flags=re.S)
    charts = re.split(r'<div class="plot[^"]*" id="', dom)[1:]
    assert len(charts) > 15
    for chart in charts:
        key = chart.partition('"')[0]
        drawn = chart.partition("</figure>")[0]
        lines = re.findall(r'<path class="js-line"[^>]* d="M', drawn)
        points = re.findall(r'<path class="point[^"]*"', drawn)
        bars = re.findall(r'<g class="point"><path [^>]*d="M', drawn)
        assert lines or points or bars, f"{key} is empty"


def test_no_user_text_became_an_element(opened: tuple[str, str]):
    assert "<script>alert" not in opened[0]
