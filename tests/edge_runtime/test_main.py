import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.__main__ import main
from edge_runtime.bundle import TensorSpec
from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import two_headed_model, weights

_ROWS = np.random.default_rng(4).standard_normal((2, 8), dtype=np.float32)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", _ROWS)
    return tmp_path / "rows.npy"


@pytest.fixture
def two_headed_bundle(tmp_path: Path) -> Path:
    shape = (None, 2)
    return write(
        tmp_path / "target",
        two_headed_model(tmp_path / "two.onnx"),
        model="two",
        inputs=(TensorSpec("a", "float32", shape), TensorSpec("b", "float32", shape)),
        outputs=(TensorSpec("total", "float32", shape), TensorSpec("difference", "float32", shape)),
    )


def _error(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def test_verify_says_what_the_bundle_is(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(bundle)]) == 0
    assert capsys.readouterr().out.startswith("intact: linear version 3 for gateway, 1 blob(s)")


def test_verify_names_who_answers_for_an_overridden_release(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    approval = {
        "verdict": "overridden",
        "approved_by": "Ada",
        "approval_reason": "the customer waits",
        "approved_until": "2026-04-01",
        "approved_verdict": "0" * 64,
    }
    released = write(tmp_path / "target", model, lineage=approval)
    assert main(["verify", str(released)]) == 0
    assert "overridden: Ada until 2026-04-01: the customer waits\n" in capsys.readouterr().out


def test_predict_prints_json(bundle: Path, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(bundle), str(rows)]) == 0
    answers = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(answers["y"], _ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)


def test_predict_writes_a_file(bundle: Path, rows: Path, tmp_path: Path) -> None:
    assert main(["predict", str(bundle), str(rows), "--output", str(tmp_path / "answers.npy")]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), _ROWS @ weights(8, 3), rtol=1e-5, atol=1e-6)


def test_several_inputs_and_outputs_travel_as_npz(two_headed_bundle: Path, tmp_path: Path) -> None:
    a, b = np.full((1, 2), 5, np.float32), np.full((1, 2), 3, np.float32)
    np.savez(tmp_path / "inputs.npz", a=a, b=b)
    answers = tmp_path / "answers.npz"
    assert main(["predict", str(two_headed_bundle), str(tmp_path / "inputs.npz"), "--output", str(answers)]) == 0
    with np.load(answers) as read:
        np.testing.assert_array_equal(read["total"], a + b)
        np.testing.assert_array_equal(read["difference"], a - b)


def test_one_array_for_a_model_with_two_inputs_is_refused(
    two_headed_bundle: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "['a', 'b']: give them as one .npz" in _error(capsys, "predict", two_headed_bundle, rows)


def test_errors_are_one_line_and_exit_code_2(
    bundle: Path, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is no bundle" in _error(capsys, "verify", tmp_path / "absent")
    assert "is no bundle" in _error(capsys, "verify", bundle.parent)
    assert "no .npy or .npz file" in _error(capsys, "predict", bundle, tmp_path / "absent.npy")
    (tmp_path / "text.npy").write_text("text")
    assert "no .npy or .npz file" in _error(capsys, "predict", bundle, tmp_path / "text.npy")
    np.save(tmp_path / "double.npy", _ROWS.astype(np.float64))
    assert "dtype float32, not float64" in _error(capsys, "predict", bundle, tmp_path / "double.npy")
    nowhere = tmp_path / "nowhere" / "answers.npy"
    assert "nowhere" in _error(capsys, "predict", bundle, rows, "--output", nowhere)


def test_a_damaged_bundle_is_not_run(bundle: Path, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (blob,) = (bundle.parents[3] / "blobs").iterdir()
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes() + b"\0")
    assert "damaged" in _error(capsys, "predict", bundle, rows)


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 no archive",
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (9"
        + b"9" * 60
        + b",)}".ljust(65),
        b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 118,
        b"",
    ],
    ids=["archive", "shape", "brackets", "empty"],
)
def test_rows_that_break_numpys_reader_are_one_line(
    bundle: Path, tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.npy").write_bytes(data)
    assert "no .npy or .npz file of plain arrays" in _error(capsys, "predict", bundle, tmp_path / "rows.npy")


def test_verify_says_which_instruction_set_answered(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = write(tmp_path / "target", model, lineage={"answers": "avx512_vnni, not the device's avx2"})
    assert main(["verify", str(written)]) == 0
    assert "answers: avx512_vnni, not the device's avx2\n" in capsys.readouterr().out


def test_a_pickle_is_not_loaded(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "objects.npy", np.array([object()]), allow_pickle=True)
    assert "no .npy or .npz file of plain arrays" in _error(capsys, "predict", bundle, tmp_path / "objects.npy")


def test_profile_measures_a_bundle_as_it_was_published(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--bundle", str(bundle), "--processes", "1", "--rows", "1,2", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    profile = json.loads(line)
    assert profile["model"] == "linear" and profile["runs"]["graph"] == "portable"
    assert [each["batch_size"] for each in profile["measure"]["batches"]] == [2]
    assert [each["operator"] for each in profile["operators"]] == ["MatMul"]


def test_profile_of_a_bundle_that_is_damaged_is_one_line(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for blob in (bundle.parents[3] / "blobs").iterdir():
        blob.chmod(0o644)
        blob.write_bytes(b"x")
    assert "blob" in _error(capsys, "profile", "--bundle", bundle)
