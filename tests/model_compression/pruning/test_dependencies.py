"""Channels that depend on each other, in each kind of architecture."""

import pytest
import torch
from torch import Tensor, nn
from torch_pruning.dependency import graph as walks

from model_compression.errors import PruningError
from model_compression.intake import rebuild
from model_compression.pruning import protected_units, units_of
from model_compression.pruning.channel_groups import ChannelGroup
from model_compression.pruning.dependencies import Dependencies
from tests.model_compression.architectures import ARCHITECTURES, exported
from tests.model_compression.pruning.channel_models import MODELS
from tests.model_compression.pruning.structure.rotary_models import WIDTH, NeoX


def channel_groups(name: str, kept: tuple[str, ...] = ()) -> dict[str, ChannelGroup]:
    _, program = exported(name)
    found = Dependencies(rebuild(program), (ARCHITECTURES[name].rows,)).channel_groups(kept)
    return {group.layer: group for group in found}


def test_a_flattened_channel_is_read_by_every_place_it_covers() -> None:
    (reader,) = channel_groups("cnn")["features.4"].readers
    assert reader.layer == "hidden"
    assert reader.inputs == list(range(128))
    assert reader.channels == [channel for channel in range(32) for _ in range(4)]


def test_a_residual_stream_is_one_bundle_with_all_of_its_readers() -> None:
    found = channel_groups("resnet")
    assert "layer1.0.conv2" not in found  # it adds to the stem's channels
    readers = {reader.layer for reader in found["stem.0"].readers}
    assert readers == {"layer1.0.conv1", "layer1.1.conv1", "layer1.1.downsample.0"}


def test_a_depthwise_convolution_passes_channels_on_and_reads_none() -> None:
    wide = next(group for group in channel_groups("mobilenet").values() if group.width == 32)
    assert {reader.layer for reader in wide.readers} == {"blocks.0.project.0", "blocks.0.excite.reduce"}
    assert wide.blocks == 1


def test_group_norm_makes_blocks_and_mixes_them() -> None:
    found = channel_groups("signal")
    assert (found["conv2"].blocks, found["conv2"].mixes) == (4, True)
    assert (found["conv1"].blocks, found["conv1"].mixes) == (1, False)


def test_a_grouped_convolution_makes_blocks_on_both_of_its_sides() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 1), nn.Conv2d(8, 12, 1, groups=4), nn.Conv2d(12, 2, 1))
    found = {b.layer: b.blocks for b in Dependencies(model, (torch.zeros(2, 1, 4, 4),)).channel_groups()}
    assert found == {"0": 4, "1": 4, "2": 1}


@pytest.mark.parametrize(
    ("model", "rows", "reason"),
    [
        (NeoX(), torch.randn(2, 5, WIDTH), r"got no end after [\d,]+ steps"),
        (MODELS["recurrent"].build(), MODELS["recurrent"].rows, "got IndexError"),
    ],
    ids=["without an end", "with an error"],
)
def test_a_walk_that_fails_is_a_sentence_and_protects_the_channels(model: nn.Module, rows: Tensor, reason: str) -> None:
    whole = walks.Group
    with pytest.raises(PruningError, match=f"{reason}.*leave `channels` out"):
        list(Dependencies(model.eval(), (rows,)).channel_groups())
    assert walks.Group is whole
    protected = protected_units(model, (rows,))
    assert any(each.kind == "channels" and "leave `channels` out" in each.reason for each in protected)
    assert units_of(model, (rows,), ("channels",), protected).channel_groups == ()


def test_a_bundle_with_a_kept_layer_is_left_out() -> None:
    assert set(channel_groups("resnet")) - set(channel_groups("resnet", kept=("layer1.0.conv2",))) == {"stem.0"}


class TestRemove:
    def graph(self) -> tuple[nn.Module, Dependencies]:
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        return model, Dependencies(model, (torch.zeros(2, 3),))

    def test_takes_the_rows_of_a_layer_and_the_columns_of_its_reader(self) -> None:
        model, graph = self.graph()
        first, second = (model.get_parameter(name).clone() for name in ("0.weight", "2.weight"))
        graph.remove("0", [1, 3])
        assert torch.equal(model.get_parameter("0.weight"), first[[0, 2]])
        assert torch.equal(model.get_parameter("2.weight"), second[:, [0, 2]])

    @pytest.mark.parametrize("channels", [[4], [-1], [0, 1, 2, 3]])
    def test_channels_that_it_does_not_have_and_all_of_them_are_refused(self, channels: list[int]) -> None:
        model, graph = self.graph()
        with pytest.raises(ValueError, match="0 to 3"):
            graph.remove("0", channels)
        assert model(torch.zeros(1, 3)).shape == (1, 2)

    def test_an_unknown_layer_is_refused(self) -> None:
        with pytest.raises(AttributeError, match="missing"):
            self.graph()[1].remove("missing", [0])


def test_the_graph_stays_in_step_over_several_removals_through_a_concatenation() -> None:
    class Concatenating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.last = nn.Conv2d(1, 6, 1), nn.Conv2d(1, 4, 1), nn.Conv2d(10, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.cat([self.left(x), self.right(x)], 1))

    torch.manual_seed(0)
    model = Concatenating()
    before = model.last.weight.clone()
    graph = Dependencies(model, (torch.randn(2, 1, 3, 3),))
    graph.remove("left", [0, 5])
    graph.remove("right", [1])
    assert torch.equal(model.last.weight, before[:, [1, 2, 3, 4, 6, 8, 9]])
