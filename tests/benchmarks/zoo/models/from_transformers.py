"""Architectures of transformers in small configurations, without downloaded weights."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from tests.benchmarks.zoo.data import LENGTH, WORDS, DataName
from tests.benchmarks.zoo.models.entry import Entry

CLASSES = 4
_BERT: dict[str, Any] = {
    "vocab_size": WORDS, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
    "max_position_embeddings": 2 * LENGTH, "num_labels": CLASSES, "pad_token_id": 0,
}  # fmt: skip


class _Logits(nn.Module):
    """A model of transformers whose inputs have names and whose answer is the logits alone."""

    def __init__(self, model: nn.Module, *names: str) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *rows: Tensor) -> Tensor:
        return self.model(**dict(zip(self.names, rows, strict=True)), **self._plain()).logits

    def _plain(self) -> dict[str, Any]:
        return {"use_cache": False} if hasattr(self.model.config, "use_cache") else {}


class _Masked(_Logits):
    """A model with words and their mask as inputs."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(input_ids, attention_mask)


class _Unmasked(_Logits):
    """A model with one input."""

    def forward(self, rows: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(rows)


class _MeanOfEncoder(nn.Module):
    """An encoder whose states are averaged over time and classified."""

    def __init__(self, encoder: nn.Module, size: int, name: str, *, channels_first: bool = False) -> None:
        super().__init__()
        self.encoder, self.head, self.name, self.channels_first = (
            encoder,
            nn.Linear(size, CLASSES),
            name,
            channels_first,
        )

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows.transpose(1, 2) if self.channels_first else rows
        return self.head(self.encoder(**{self.name: rows}).last_hidden_state.mean(1))


class _Flat(nn.Module):
    """A model of one channel that gets all channels of a series, one behind the other."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Tensor) -> Tensor:
        return self.model(rows.flatten(1))


def _classifier(name: str, base: str, data: DataName = "masked_tokens", **settings: Any) -> Entry:
    def build() -> nn.Module:
        import transformers

        config = getattr(transformers, f"{base}Config")(**settings)
        model = getattr(transformers, f"{base}ForSequenceClassification")(config)
        return (
            _Masked(model, "input_ids", "attention_mask") if data == "masked_tokens" else _Unmasked(model, "input_ids")
        )

    return Entry(name, "transformers", data, build)


def _whisper() -> nn.Module:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(
        num_mel_bins=6, d_model=64, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=128,
        max_source_positions=16, decoder_layers=1,
    )  # fmt: skip
    return _MeanOfEncoder(WhisperEncoder(config), 64, "input_features", channels_first=True)


def _wav2vec() -> nn.Module:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128, conv_dim=(32, 32),
        conv_kernel=(5, 3), conv_stride=(4, 2), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4,
        mask_time_prob=0.0, layerdrop=0.0,
    )  # fmt: skip
    return _Flat(_MeanOfEncoder(Wav2Vec2Model(config), 64, "input_values"))


def _t5() -> nn.Module:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=WORDS, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4)
    return _MeanOfEncoder(T5EncoderModel(config), 64, "input_ids")


def _entry(name: str, data: DataName, build: Callable[[], nn.Module]) -> Entry:
    return Entry(name, "transformers", data, build)


TRANSFORMERS = (
    _classifier("bert", "Bert", **_BERT),
    _classifier("roberta", "Roberta", **_BERT),
    _classifier("electra", "Electra", **_BERT, embedding_size=32),
    _classifier("albert", "Albert", **_BERT, embedding_size=32),
    _classifier("distilbert", "DistilBert", vocab_size=WORDS, dim=64, n_layers=2, n_heads=4, hidden_dim=128,
                max_position_embeddings=2 * LENGTH, num_labels=CLASSES),
    _classifier("mobilebert", "MobileBert", **_BERT, embedding_size=32, intra_bottleneck_size=32),
    _classifier("gpt2", "GPT2", "tokens", vocab_size=WORDS, n_embd=64, n_layer=2, n_head=4, n_positions=2 * LENGTH,
                num_labels=CLASSES, pad_token_id=0),
    _classifier("llama", "Llama", "tokens", vocab_size=WORDS, hidden_size=64, num_hidden_layers=2, num_labels=CLASSES,
                num_attention_heads=4, num_key_value_heads=2, intermediate_size=128, pad_token_id=0),
    _entry("t5_encoder", "tokens", _t5),
    _entry("whisper_encoder", "series", _whisper),
    _entry("wav2vec2", "series", _wav2vec),
)  # fmt: skip
