import csv
import io
import json
from pathlib import Path

import pytest

from raykd.cli.main import main
from tests.synthetic_run import Builder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher("glue/rte")
    builder.trial("glue/rte", "kd", 0)
    builder.finish()
    return builder.folder


def test_the_page_is_written_and_its_place_printed(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(run), "--plotlyjs", "directory"]) == 0
    assert capsys.readouterr().out == f"report: {run / 'report.html'}\n"
    assert (run / "report.html").is_file()
    assert (run / "plotly.min.js").is_file()


def test_records_go_to_stdout(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(run), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"][0]["trial_id"] == "glue-rte.kd.s000"
    assert main(["report", str(run), "--format", "csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["arm"] == "kd"


def test_records_go_to_a_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "trials.csv"
    assert main(["report", str(run), "--format", "csv", "--out", str(out)]) == 0
    assert out.read_text().startswith("task,")
    assert capsys.readouterr().out == f"csv: {out}\n"


def test_a_folder_that_is_no_run_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "is not a run folder" in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
