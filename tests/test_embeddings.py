"""Embeddings: every format read alike, defects counted or refused, training the same twice."""

import gzip
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from csr.errors import DataError
from csr.induction.embeddings import Embeddings, read_embeddings, train, write_embeddings

THREE = Embeddings(["die", "katze", "new york"], np.array([[0.25, -1], [1e-8, 3], [0.1, 2]], np.float32))

TWO = Embeddings(THREE.words[:2], THREE.vectors[:2])


def same(a, b):
    return a.words == b.words and np.array_equal(a.vectors, b.vectors)


def word2vec_binary(embeddings, end):
    rows = zip(embeddings.words, embeddings.vectors, strict=True)
    head = f"{len(embeddings)} {embeddings.dim}\n".encode()
    return head + b"".join(word.encode() + b" " + vector.astype("<f4").tobytes() + end for word, vector in rows)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.text("abä字 '.5", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=5, unique=True),
    st.integers(1, 4),
    st.data(),
)
def test_what_is_written_is_read_again(tmp_path, words, dim, data):
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    # A first word that ends in a number looks like a longer vector, in every text format of embeddings.
    words = ["first", *words]
    vectors = data.draw(arrays.arrays(np.float32, (len(words), dim), elements=numbers))
    write_embeddings(Embeddings(words, vectors), tmp_path / "a.vec.gz")
    assert same(read_embeddings(tmp_path / "a.vec.gz"), Embeddings(words, vectors))


@pytest.mark.parametrize("name", ["a.vec", "a.vec.gz", "a.bin", "a.bin.gz"])
def test_files_of_gensim(tmp_path, name):
    from gensim.models import KeyedVectors

    rng = np.random.default_rng(1)
    embeddings = Embeddings([f"w{i}" for i in range(50)], rng.normal(size=(50, 7)).astype(np.float32))
    vectors = KeyedVectors(7)
    vectors.add_vectors(embeddings.words, embeddings.vectors)
    vectors.save_word2vec_format(tmp_path / name, binary=".bin" in name)
    assert same(read_embeddings(tmp_path / name), embeddings)


def test_binary_of_the_original_word2vec_with_a_word_that_holds_a_space(tmp_path):
    (tmp_path / "a.bin").write_bytes(word2vec_binary(THREE, end=b"\n"))
    assert same(read_embeddings(tmp_path / "a.bin"), THREE)


def test_text_without_header(tmp_path):
    (tmp_path / "glove.txt").write_text("die 0.25 -1\nkatze 1e-8 3\nnew york 0.1 2\n")
    assert same(read_embeddings(tmp_path / "glove.txt"), THREE)


def test_fasttext_model(tmp_path):
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    model = FastText([["a", "b", "c"]] * 5, vector_size=4, min_count=1, epochs=1, bucket=20)
    save_facebook_model(model, str(tmp_path / "model.bin"))
    embeddings = read_embeddings(tmp_path / "model.bin")
    assert sorted(embeddings.words) == ["a", "b", "c"]
    np.testing.assert_allclose(embeddings.vectors, model.wv[embeddings.words], rtol=1e-6)


def test_duplicates_and_malformed_rows_are_counted(tmp_path, caplog):
    (tmp_path / "a.vec").write_text("6 2\ndie 1 2\nkatze 3\nhund 1 x\ndie 5 6\n\nmaus 7 8\n")
    embeddings = read_embeddings(tmp_path / "a.vec")
    assert same(embeddings, Embeddings(["die", "maus"], np.array([[1, 2], [7, 8]], np.float32)))
    assert "6 rows read of 6 announced, 4 dropped (1 duplicates, 3 malformed)" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found none in 0 rows"),
        (b"die katze\n", ":1: expected a word and its numbers, found 0"),
        (b"2 2\n", "found none in 0 rows"),
        (b"1 3\ndie 1 2\n", ":2: expected a word and 3 numbers, found 2"),
        (b"1 2\ndie 1 nan\n", ":2: expected finite numbers, found nan"),
        (b"die 1 1e99\n", ":1: expected finite numbers, found inf"),
        (b"1 2\ndi\xff 1 2\n", ":2: expected UTF-8"),
        (word2vec_binary(TWO, b"")[:-1], "expected 2 rows of 2 numbers, found the end in row 2"),
        (word2vec_binary(TWO, b"") + b"\x00\x01", "expected the end after 2 rows"),
    ],
)
def test_bad_files(tmp_path, content, message):
    (tmp_path / "a.vec").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_embeddings(tmp_path / "a.vec")


def test_damaged_gzip(tmp_path):
    (tmp_path / "a.vec.gz").write_bytes(gzip.compress(b"1 1\n" + b"a 1\n" * 999)[:-9])
    with pytest.raises(DataError, match="damaged or cut short"):
        read_embeddings(tmp_path / "a.vec.gz")


TEXT = "Die Katze schläft.\nDer Hund schläft!\nDie Katze und der Hund.\n" * 20


@pytest.mark.slow
def test_training_does_not_depend_on_the_hash_seed(tmp_path):
    (tmp_path / "text").write_text(TEXT)
    code = (
        "import sys, hashlib; from csr.induction.embeddings import train\n"
        "e = train(sys.argv[1], dim=8, epochs=2); print(e.words, hashlib.sha256(e.vectors.tobytes()).hexdigest())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "text")],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_training_takes_words_lower_cased_and_most_frequent_first(tmp_path):
    (tmp_path / "a").write_text(TEXT)
    (tmp_path / "b").write_text("hund\n" * 100)
    embeddings = train([tmp_path / "a", tmp_path / "b"], dim=8, epochs=1)
    assert embeddings.words[0] == "hund"
    assert set(embeddings.words) == {"die", "der", "katze", "hund", "schläft", "und"}
    assert embeddings.vectors.shape == (6, 8)


def test_text_without_a_frequent_word(tmp_path):
    (tmp_path / "text").write_text("eins zwei drei\n")
    with pytest.raises(DataError, match="expected a word that occurs at least 5 times, found none"):
        train(tmp_path / "text")
