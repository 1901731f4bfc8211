"""Architectures of timm in small configurations for images of 32 x 32, without downloaded weights."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import nn

from tests.benchmarks.zoo.data import DataName
from tests.benchmarks.zoo.models.entry import Entry

CLASSES = 10
OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


@cache
def timm() -> Any:
    """Import timm beside a torch that has none of torchvision's operators."""
    for name in ("nms", "qnms"):
        OPERATORS.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    return import_module("timm")


def _entry(name: str, base: str, data: DataName = "digits", **settings: Any) -> Entry:
    def build() -> nn.Module:
        model: nn.Module = timm().create_model(base, pretrained=False, num_classes=CLASSES, **settings)
        return model

    return Entry(name, "timm", data, build)


def _made(name: str, make: Callable[[Any], nn.Module]) -> Entry:
    return Entry(name, "timm", "digits", lambda: make(timm().models))


def _resnet(models: Any, **settings: Any) -> nn.Module:
    model: nn.Module = models.resnet.ResNet(
        layers=(1, 1, 1, 1), channels=(16, 32, 64, 128), num_classes=CLASSES, **settings
    )
    return model


_MIXER = {"num_classes": CLASSES, "img_size": 32, "patch_size": 8, "embed_dim": 64, "num_blocks": 3}
_VIT: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 3, "num_heads": 4}
TIMM = (
    _made("resnet", lambda models: _resnet(models, block=models.resnet.BasicBlock)),
    _made("resnet_bottleneck", lambda models: _resnet(models, block=models.resnet.Bottleneck)),
    _made("resnext", lambda models: _resnet(models, block=models.resnet.Bottleneck, cardinality=4, base_width=16)),
    _made("se_resnet", lambda models: _resnet(models, block=models.resnet.BasicBlock, block_args={"attn_layer": "se"})),
    _made("eca_resnet", lambda models: _resnet(models, block=models.resnet.BasicBlock,
                                               block_args={"attn_layer": "eca"})),
    _entry("densenet", "densenet121", growth_rate=8, block_config=(2, 2, 2, 2)),
    _entry("mobilenetv2", "mobilenetv2_035"),
    _entry("mobilenetv3", "mobilenetv3_small_050"),
    _entry("efficientnet", "efficientnet_b0"),
    _entry("efficientnet_lite", "efficientnet_lite0"),
    _entry("mnasnet", "mnasnet_small"),
    _entry("tinynet", "tinynet_e"),
    _entry("ghostnet", "ghostnet_050"),
    _entry("repghost", "repghostnet_050"),
    _entry("regnetx", "regnetx_002"),
    _entry("regnety", "regnety_002"),
    _entry("convnext", "convnext_atto", depths=(1, 1, 2, 1), dims=(16, 32, 64, 96)),
    _entry("convnextv2", "convnextv2_atto", depths=(1, 1, 2, 1), dims=(16, 32, 64, 96)),
    _entry("vit", "vit_tiny_patch16_224", **_VIT),
    _entry("deit_distilled", "deit_tiny_distilled_patch16_224", **_VIT),
    _entry("cait", "cait_xxs24_224", **_VIT),
    _entry("eva", "eva02_tiny_patch14_224", **_VIT),
    _entry("swin", "swin_tiny_patch4_window7_224", img_size=32, patch_size=2, window_size=4, embed_dim=32,
           depths=(2, 2), num_heads=(2, 4)),
    _entry("swinv2", "swinv2_tiny_window8_256", img_size=32, patch_size=2, window_size=4, embed_dim=32,
           depths=(2, 2), num_heads=(2, 4)),
    _entry("levit", "levit_128s", "large_digits", img_size=64),
    _made("mixer", lambda models: models.mlp_mixer.MlpMixer(**_MIXER)),
    _made("resmlp", lambda models: models.mlp_mixer.MlpMixer(
        **_MIXER, mlp_ratio=4, block_layer=models.mlp_mixer.ResBlock)),
    _made("gmlp", lambda models: models.mlp_mixer.MlpMixer(
        **_MIXER, mlp_ratio=4, block_layer=models.mlp_mixer.SpatialGatingBlock,
        mlp_layer=timm().layers.GatedMlp)),
    _entry("mobilevit", "mobilevit_xxs", "large_digits"),
    _entry("mobilevitv2", "mobilevitv2_050", "large_digits"),
    _entry("repvgg", "repvgg_a0"),
    _entry("mobileone", "mobileone_s0"),
    _made("vgg", lambda models: models.vgg.VGG(
        [16, "M", 32, "M", 64, 64, "M", 128, "M", 128, "M"], CLASSES, mlp_ratio=1 / 64, norm_layer=nn.BatchNorm2d)),
    _entry("inception_next", "inception_next_atto"),
    _entry("hrnet", "hrnet_w18_small", "large_digits"),
    _entry("dpn", "dpn48b"),
    _entry("vovnet", "ese_vovnet19b_slim_dw"),
    _entry("edgenext", "edgenext_xx_small", "large_digits"),
    _made("poolformer", lambda models: models.metaformer.MetaFormer(
        depths=(1, 1, 1, 1), dims=(16, 32, 64, 96), num_classes=CLASSES, use_mlp_head=False,
        token_mixers=models.metaformer.Pooling)),
    _entry("xcit", "xcit_nano_12_p8_224", img_size=32, embed_dim=64, depth=3, num_heads=4),
    _entry("coat", "coat_lite_tiny", img_size=32, embed_dims=(16, 32, 64, 96), serial_depths=(1, 1, 1, 1)),
    _entry("pvt", "pvt_v2_b0", "large_digits"),
    _entry("twins", "twins_svt_small", img_size=32, embed_dims=(16, 32, 64, 128), num_heads=(1, 2, 4, 8),
           depths=(1, 1, 2, 1), wss=(4, 4, 2, 1)),
    _made("convmixer", lambda models: models.convmixer.ConvMixer(64, 3, 5, 4, num_classes=CLASSES)),
    _made("res2net", lambda models: _resnet(models, block=models.res2net.Bottle2neck, base_width=16,
                                            block_args={"scale": 4})),
    _made("nf_resnet", lambda models: models.nfnet.NormFreeNet(
        models.nfnet._nfres_cfg(depths=(1, 1, 1, 1), channels=(32, 64, 128, 256)), num_classes=CLASSES)),
    _entry("efficientvit", "efficientvit_b0", "large_digits"),
)  # fmt: skip
