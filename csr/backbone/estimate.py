"""The memory and the arithmetic of training, from the sizes of the model and of a batch, before anything is run.

Counted are the tensors that PyTorch keeps for the backward pass and fairseq's copies of the weights. Attention weights
and masks of dropout count in full: fused kernels of a GPU keep less. What the program takes itself, the caches of an
allocator and the buffers of a GPU's libraries are not counted.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "fp16", "bf16"]
MASKED = 0.15  # share of the pieces that an encoder predicts (Devlin et al. 2019)
_FLOAT = 4  # bytes
_ROWS = 2 << 20  # bytes of the rows of scores that the loss looks at together, on a processor


@dataclass(frozen=True)
class Sizes:
    """A Transformer with one embedding, of what it reads and of what it writes.

    The defaults are mBART's.

    Attributes:
        layers: of the encoder.
        norms: normalisations of each side outside its layers.
        learned_positions: positions are weights.
        decoder_layers: as many as the encoder's if None; 0 is an encoder alone, with a head for masked pieces.
    """

    vocabulary: int
    layers: int = 12
    dim: int = 1024
    ffn: int = 4096
    heads: int = 16
    positions: int = 1024
    norms: int = 2
    learned_positions: bool = True
    decoder_layers: int | None = None

    @property
    def decoder(self) -> int:
        """The number of layers of the decoder."""
        return self.layers if self.decoder_layers is None else self.decoder_layers

    @property
    def embedding(self) -> int:
        """The number of parameters of the vocabulary's embedding."""
        return self.vocabulary * self.dim

    @property
    def parameters(self) -> int:
        """The number of parameters.

        >>> Sizes(250_027).parameters
        610851840
        """
        norm = 2 * self.dim
        attention = 4 * (self.dim**2 + self.dim)
        feed_forward = 2 * self.dim * self.ffn + self.dim + self.ffn
        encoder_layer = attention + feed_forward + 2 * norm
        decoder_layer = 2 * attention + feed_forward + 3 * norm
        # fairseq counts positions from the id of <pad> on, which is 1.
        side = (self.positions + 2) * self.dim * self.learned_positions + self.norms * norm
        layers = self.layers * encoder_layer + self.decoder * decoder_layer
        if self.decoder:
            return self.embedding + 2 * side + layers
        head = self.dim**2 + self.dim + norm + self.vocabulary
        return self.embedding + side + layers + head

    def predicted(self, tokens: int) -> int:
        """The number of a batch's tokens that get probabilities: all of the decoder's, or 15 % that are masked."""
        return tokens if self.decoder else round(MASKED * tokens)


@dataclass(frozen=True)
class Setup:
    """How it is trained: the numbers it counts in, and what is given up for less memory."""

    precision: Precision = "fp32"
    memory_efficient: bool = False
    """fp16 and bf16: without a copy of weights and gradients in fp32."""
    freeze_embeddings: bool = False
    checkpoint_activations: bool = False


@dataclass(frozen=True)
class Memory:
    """Bytes that training takes; the peak is less than the sum, for not all are there at the same time."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    """What the forward pass leaves for the backward pass, the loss included."""
    peak: int


def estimate(sizes: Sizes, setup: Setup, tokens: int, length: int) -> Memory:
    """The memory that training with Adam takes, from the second update on.

    Args:
        tokens: of a batch, padding included, on each side (``--max-tokens``).
        length: of its sentences.
    """
    half = setup.precision != "fp32"
    number = 2 if half else _FLOAT
    trained = sizes.parameters - (sizes.embedding if setup.freeze_embeddings else 0)
    # Adam in fairseq: two moments in fp32; unless memory-efficient, half precision keeps weights and gradients in fp32.
    copies = _FLOAT if half and not setup.memory_efficient else 0
    weights = number * sizes.parameters + copies * trained
    gradients, gradient_copies = number * trained, copies * trained
    optimizer = 2 * _FLOAT * trained

    encoder, decoder = (tokens * size for size in layer_bytes(sizes, half, length))
    # Embeddings, norms before and after the layers, dropout; the head of an encoder.
    ends = number * sizes.dim * (8 * tokens if sizes.decoder else 4 * tokens + 6 * sizes.predicted(tokens))
    layers, again = sizes.layers * encoder + sizes.decoder * decoder, (0, 0)
    if setup.checkpoint_activations:  # the input of each layer; one layer at a time is computed again
        layers, again = (sizes.layers + sizes.decoder) * number * tokens * sizes.dim, (encoder, decoder)
    # The loss is counted in fp32 whatever the precision, a few rows at a time; scores and their gradient stay.
    scores = number * sizes.predicted(tokens) * sizes.vocabulary

    embedding = 0 if setup.freeze_embeddings else number * sizes.embedding
    largest = _largest(sizes, setup)
    moments = (
        # the loss has been computed, its gradient goes back to the scores
        layers + ends + 2 * scores + _ROWS,
        # the output projection: gradient of the scores and of the embedding
        layers + ends + again[1] + scores + embedding,
        # the decoder's embedding: the gradients of two uses of one tensor are added to a third
        layers // 2 + (gradients - embedding) // 2 + 3 * embedding if sizes.decoder else 0,
        # the first layer, and the encoder's embedding
        gradients + max(embedding, again[0]),
        # the optimiser: temporary tensors of the size of the largest
        gradients + (3 if half and setup.memory_efficient else 1) * _FLOAT * largest,
    )
    return Memory(
        weights=weights,
        gradients=gradients + gradient_copies,
        optimizer=optimizer,
        activations=layers + ends + scores,
        peak=weights + gradient_copies + optimizer + max(moments),
    )


def operations(sizes: Sizes, tokens: int, length: int) -> int:
    """The additions and multiplications of an update, those of matrices alone.

    Two for each weight and token forward and four backward (Kaplan et al. 2020, section 2.1), and attention's own. The
    optimiser, which takes its time for memory, is not counted.

    Args:
        tokens, length: as for ``estimate``.
    """
    attention, scores, feed_forward = 4 * sizes.dim**2, 2 * length * sizes.dim, 2 * sizes.dim * sizes.ffn
    encoder, decoder = attention + scores + feed_forward, 2 * (attention + scores) + feed_forward
    head = sizes.embedding + (0 if sizes.decoder else sizes.dim**2)
    return 6 * (tokens * (sizes.layers * encoder + sizes.decoder * decoder) + sizes.predicted(tokens) * head)


def layer_bytes(sizes: Sizes, half: bool, length: int) -> tuple[int, int]:
    """The numbers that an encoder and a decoder layer keep of each token for the backward pass.

    Counted in what autograd saves: inputs of norms and linear maps, queries, keys and values, masks of dropout; of
    attention softmax, mask of dropout and their product. In half precision GELU stays in fp32.
    """
    units = (sizes.dim, sizes.ffn, sizes.heads * length, 1)
    encoder, decoder = ((20, 6, 6, 9), (34, 6, 12, 13)) if half else ((40, 8, 12, 17), (68, 8, 24, 25))
    return sum(map(operator.mul, encoder, units)), sum(map(operator.mul, decoder, units))


def _largest(sizes: Sizes, setup: Setup) -> int:
    """The size of the largest trained tensor, in numbers."""
    feed_forward = sizes.dim * sizes.ffn
    return feed_forward if setup.freeze_embeddings else max(sizes.embedding, feed_forward)
