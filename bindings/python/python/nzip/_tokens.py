"""Text as tokens of equal information."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._errors import CorruptError
from ._nzip import Model, TokenizerCore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Buffer

    from ._options import StrPath


class Tokenizer:
    """Turns text into tokens that each carry the same number of bits, and back.

    A model compresses text into windows of ``window_bits`` bits, which are written as tokens of ``token_bits`` bits.
    ``docs/tokens.md`` says what the choices mean. Arrays of tokens need numpy.
    """

    def __init__(
        self,
        model: Model | StrPath = "tiny",
        *,
        window_bits: int = 16,
        token_bits: int | None = None,
        policy: str = "reset",
        ends: str = "symbol",
        adaptive: bool = False,
        special: int = 1,
        memory: int | None = None,
    ) -> None:
        self.window_bits = window_bits
        self.token_bits = min(window_bits, 16) if token_bits is None else token_bits
        self.policy, self.ends, self.adaptive, self.special = policy, ends, adaptive, special
        self._memory = memory
        self._model = model if isinstance(model, Model) else Model(model)
        self._core = TokenizerCore(
            self._model, window_bits, self.token_bits, policy, ends, adaptive, special, memory
        )

    @property
    def vocab_size(self) -> int:
        """The number of different tokens, special ones included."""
        return self._core.vocab_size

    @property
    def end_token(self) -> int | None:
        """The token that ends documents, the first special one."""
        return self._core.end_token

    @property
    def model_hash(self) -> str:
        """BLAKE3 of the model's weights, in hexadecimal digits."""
        return self._core.model_hash

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of tokens: ``uint16`` where all fit, otherwise ``uint32``."""
        import numpy as np

        return np.dtype(np.uint16 if self.vocab_size <= 1 << 16 else np.uint32)

    def encode(self, text: Buffer | str) -> NDArray[Any]:
        """The tokens of a document, without special ones. Text is encoded as UTF-8."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Iterable[Buffer | str]) -> list[NDArray[Any]]:
        """The tokens of several documents, which are coded side by side."""
        import numpy as np

        raw = [text.encode() if isinstance(text, str) else text for text in texts]
        return [np.frombuffer(tokens, "<u4").astype(self.dtype) for tokens in self._core.encode(raw)]

    def decode(self, tokens: ArrayLike) -> bytes:
        """The bytes of tokens; of several documents, each followed by ``end_token``, all one after the other."""
        import numpy as np

        array = np.asarray(tokens)
        if self.end_token is None:
            return self.decode_batch([array])[0]
        documents = np.split(array, np.flatnonzero(array == self.end_token))
        return b"".join(self.decode_batch(d[d != self.end_token] for d in documents))

    def decode_batch(self, batch: Iterable[ArrayLike]) -> list[bytes]:
        """The bytes of several documents, which are decoded side by side."""
        import numpy as np

        documents: list[Any] = []
        for tokens in batch:
            array = np.asarray(tokens)
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise CorruptError(f"tokens: an array of {array.dtype} and shape {array.shape}")
            if array.size and (array.min() < 0 or array.max() >= 1 << 32):
                raise CorruptError("tokens: not in the vocabulary")
            documents.append(np.ascontiguousarray(array, "<u4").view(np.uint8))
        return self._core.decode(documents)

    def choices(self) -> dict[str, Any]:
        """All that tokens mean nothing without, as in the files of ``nzip tokens``."""
        names = ("window_bits", "token_bits", "policy", "ends", "adaptive", "special", "vocab_size", "end_token")
        return {"model_hash": self.model_hash} | {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"<nzip.Tokenizer {self.window_bits}/{self.token_bits} {self.policy} {self.model_hash[:12]}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_core"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._core = TokenizerCore(
            self._model,
            self.window_bits,
            self.token_bits,
            self.policy,
            self.ends,
            self.adaptive,
            self.special,
            self._memory,
        )
