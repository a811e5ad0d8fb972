import base64
import gzip
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from raykd.errors import RaykdError, SetupError
from raykd.report.build import PACKED, SCRIPTS, build_report, render_page, sections
from raykd.report.charts import as_script_json
from raykd.results.records import Status, SweepResult
from raykd.results.store import load_results
from tests.synthetic_run import HOSTILE, Builder, spec, write_run

LOADING = ("src", "href", "data", "action", "poster", "srcset", "xlink:href")
ORDER = ["verdict", "arms", "costs", "budget", "stopping", "tunability", "hyperparameters",
         "curves", "trials", "failures", "timeline", "teacher", "reproduce"]  # fmt: skip


class Page(HTMLParser):
    """Collects what a test asks of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.sections: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        actual = dict(attrs)
        self.tags.append(tag)
        if actual.get("id"):
            self.ids.append(str(actual["id"]))
        self.addresses += [v or "" for k, v in attrs if k in LOADING]
        if tag == "script":
            self.scripts.append(actual)
        if tag == "section":
            self.sections.append(str(actual["id"]))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def html(result: SweepResult) -> str:
    return render_page(result, "directory")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_sections_stand_in_the_order_of_the_questions(page: Page):
    assert page.sections == ORDER
    assert [s.order for _, s in sections()] == sorted(s.order for _, s in sections())


def test_ids_are_unique(page: Page):
    assert len(page.ids) == len(set(page.ids))


def test_nothing_is_loaded_from_a_network(page: Page, html: str):
    assert [a for a in page.addresses if not a.startswith("#")] == ["plotly.min.js"]
    css = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in css
    assert "@import" not in css


def test_user_strings_are_escaped_everywhere(html: str, page: Page):
    assert HOSTILE not in html
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(" in html
    # data, plotly library, page scripts, and one JSON block per chart; none of the user's
    kinds = [s.get("type") for s in page.scripts if "data-plot" not in s]
    assert kinds == ["application/json", None, *(None for _ in SCRIPTS)]


def test_a_text_in_a_chart_is_escaped_for_plotly(html: str):
    blocks = re.findall(r'data-plot="[^"]+">(.*?)</script>', html, re.S)
    decoded = [json.dumps(json.loads(b)) for b in blocks]
    assert not any("<script>" in d for d in decoded)
    assert any("&lt;script&gt;" in d for d in decoded)


def test_the_data_in_the_page_is_the_result(html: str, result: SweepResult):
    block = re.search(r'id="raykd-data">(.*?)</script>', html, re.S)
    assert block is not None
    data = json.loads(block[1])
    assert [t["trial_id"] for t in data["trials"]] == [t.trial_id for t in result.trials]
    assert HOSTILE in data["spec"]["description"]


def test_json_cannot_end_its_script_element():
    text = as_script_json({"a": "</script><!--", "b": float("nan")})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": None}


def test_the_same_run_gives_the_same_bytes(run_folder: Path, tmp_path: Path):
    first = build_report(run_folder, tmp_path / "a.html").read_bytes()
    assert build_report(run_folder, tmp_path / "b.html").read_bytes() == first


def test_one_file_holds_plotly_once_unless_it_is_next_to_it(run_folder: Path, tmp_path: Path):
    inline = build_report(run_folder, tmp_path / "one" / "r.html")
    assert [p.name for p in inline.parent.iterdir()] == ["r.html"]
    packed = re.findall(f'id="{PACKED}">([^<]*)<', inline.read_text())
    assert [gzip.decompress(base64.b64decode(p)).decode() for p in packed] == [get_plotlyjs()]
    next_to_it = build_report(run_folder, tmp_path / "two" / "r.html", plotlyjs="directory")
    assert sorted(p.name for p in next_to_it.parent.iterdir()) == ["plotly.min.js", "r.html"]
    assert next_to_it.stat().st_size < inline.stat().st_size - 1_500_000


def test_the_verdict_can_be_read_without_script(html: str):
    text = unescape(re.sub(r"<script.*?</script>", "", html, flags=re.S))
    assert re.search(r"ckd beats kd by \d\.\d points \(95 % CI \d\.\d to \d\.\d, 5 seeds", text)
    assert "Before you trust this" in text
    assert "trained on 10,000 rows, the students on 1,000" in text
    assert "1 (1,249 / 1,249)" in text


def test_the_page_has_landmarks_language_and_sort_buttons(html: str, page: Page):
    assert '<html lang="en">' in html
    assert {"main", "nav", "header", "footer", "caption"} <= set(page.tags)
    assert "main" in page.ids
    assert '<th scope="col" data-first="descending">score (test)</th>' in html
    scrollers = re.findall(r'<div class="scroll[^>]*>', html)
    assert len(scrollers) == page.tags.count("table")
    assert all('tabindex="0" role="group" aria-label="' in tag for tag in scrollers)
    assert all('tabindex="0"' in tag for tag in re.findall(r"<pre[^>]*>", html))


def test_the_scripts_stay_small():
    assets = Path(__file__).parents[3] / "raykd" / "report" / "assets"
    assert {f"{name}.js" for name in SCRIPTS} == {p.name for p in assets.glob("*.js")}
    assert all(len(p.read_text().splitlines()) < 100 for p in assets.glob("*.js"))


def test_every_chart_has_its_numbers_in_a_table(page: Page):
    charts = [s for s in page.scripts if "data-plot" in s]
    assert len(charts) > 15
    assert page.tags.count("figure") == len(charts)
    assert page.tags.count("table") > len(charts)


def test_a_sweep_without_trials_renders(tmp_path: Path):
    builder = Builder(tmp_path / "run")
    builder.start()
    text = build_report(builder.folder).read_text()
    assert "No trial was started" in text
    assert "Nothing was measured" in text


def test_a_killed_run_renders_with_an_honest_verdict(tmp_path: Path):
    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher("glue/rte")
    for n in range(3):
        builder.trial("glue/rte", "kd", n, objective=0.7)
    builder.trial("glue/rte", "ckd", 0, Status.FAILED, None, error="boom")
    builder.event("trial_started", trial_id="glue-rte.ckd.s001", task="glue/rte", arm="ckd",
                  number=1, stage="search", params={"lr": 1e-5}, slot=0)  # fmt: skip
    text = render_page(load_results(builder.folder), "directory")
    assert "Not decided: nothing was confirmed on fresh seeds" in text
    assert "stopped before its end" in text
    assert "Too few completed trials to tell which hyperparameters matter" in text


def test_equal_objectives_and_points_outside_a_domain_render(tmp_path: Path):
    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher("glue/rte")
    for n in range(8):
        builder.trial("glue/rte", "kd", n, objective=0.7, params={"lr": 1.0, "alpha": 5, "x": None})
    builder.finish()
    assert "kd on glue/rte" in render_page(load_results(builder.folder), "directory")


def test_two_runs_make_a_comparison(run_folder: Path, tmp_path: Path):
    other = write_run(tmp_path / "second", spec("other", trials=4), packages={"torch": "9"})
    out = build_report([run_folder, other.folder], tmp_path / "comparison.html")
    text = out.read_text()
    assert "second/ckd" in text
    assert "The merged runs have different package versions" in text
    # Each head of a column becomes a button that sorts, and a button has to say what it does.
    assert Page(text).tags.count("th") > 100
    assert not re.search(r'<th scope="col"[^>]*>\s*</th>', text)


def test_a_place_that_cannot_be_written_is_one_clear_error(run_folder: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot write the report"):
        build_report(run_folder, tmp_path / "file" / "r.html")


def test_no_run_at_all_is_an_error():
    with pytest.raises(RaykdError, match="no run"):
        build_report([])
