"""The figures of the recurrent benchmark are those of the worst training, so that no lucky seed hides one."""

from tests.benchmarks.frontier.figures import Seen
from tests.benchmarks.recurrent import ALONE, FLOAT, OURS, Trained, figures


def trained(network: str, seed: int, accuracy: float, size_bytes: float, p50_ms: float) -> Trained:
    files = {
        FLOAT: Seen(0.8, {}, 160_000, 0.1, 6),
        OURS: Seen(accuracy, {}, size_bytes, p50_ms, 5),
        ALONE: Seen(0.8, {}, 100_000, 0.1, 5),
    }
    return Trained(network, seed, 40_000, files, 1e-6, 0.01, "dynamic", "")


def test_the_worst_of_all_trainings_counts() -> None:
    found = [trained("LSTM", 0, 0.81, 40_000, 0.05), trained("LSTM", 1, 0.78, 96_000, 0.12)]
    found += [trained("GRU", 0, 0.8, 40_000, 0.1)]
    made = {figure.figure: figure for figure in figures(found)}
    lstm = [figure for name, figure in made.items() if name.startswith("LSTM, the worst of 2 trainings")]
    assert [round(figure.value, 6) for figure in lstm] == [0.6, 2, 1.2, 1e-6]
    assert [figure.holds for figure in lstm] == [False, False, False, True]
    gru = [figure for name, figure in made.items() if name.startswith("GRU, the worst of 1 trainings")]
    assert len(gru) == 4 and all(figure.holds for figure in gru)


def test_a_training_has_a_line_for_each_file() -> None:
    lines = list(trained("GRU", 3, 0.8, 40_000, 0.1).lines)
    assert [line.split(" | ")[2] for line in lines] == [FLOAT, f"{OURS}, dynamic", ALONE]
    assert "| 0.8000 | 40.0 kB | 100 us | 5.0 MiB |" in lines[1]
