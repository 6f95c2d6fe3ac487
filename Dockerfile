# docker build -t csr .
# docker run --rm -v $PWD:/work csr run configs/quickstart.yaml          # with cards: --gpus all
FROM python:3.11-slim

# fairseq and gensim compile where there is no wheel of theirs.
RUN apt-get update && apt-get install -y --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/csr
COPY constraints.txt setup.cfg pyproject.toml README.md LICENSE ./
COPY csr csr
COPY fairseq_plugins fairseq_plugins
# As in scripts/setup.sh: fairseq takes the torch and numpy that are there instead of a second torch.
RUN pip install --no-cache-dir -c constraints.txt torch numpy cython setuptools wheel \
    && pip install --no-cache-dir -c constraints.txt --no-build-isolation fairseq-fixed \
    && pip install --no-cache-dir -c constraints.txt ".[eval,huggingface,segment,zstd]"

WORKDIR /work
ENTRYPOINT ["csr"]
