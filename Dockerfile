# raykd in a container, for CPUs as it is or for NVIDIA GPUs:
#
#   docker build -t raykd .
#   docker build -t raykd:cuda --build-arg TORCH_INDEX= .
#
# The wheels of torch bring CUDA themselves, so both are made of one base image. docs/start/install.md
# says how to run it.
ARG PYTHON=3.11
ARG DEBIAN=bookworm

FROM python:${PYTHON}-slim-${DEBIAN} AS build
# The range that `make install` takes; a test compares them.
ARG TORCH="torch>=2.13,<2.14"
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/raykd
ENV PATH=/opt/raykd/bin:$PATH
# What changes least comes first: torch, then what raykd needs, then raykd.
# Of equal versions pip takes the one with a suffix, +cpu; without the index, the one with CUDA.
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$TORCH"
WORKDIR /source
COPY pyproject.toml ./
# Extras of raykd, with commas between them; none by default.
ARG EXTRAS=""
RUN python -c "import os, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = filter(None, os.environ['EXTRAS'].split(',')); print(*p['dependencies'], \
*(r for e in extras for r in p['optional-dependencies'][e]), sep='\n')" > requirements.txt \
    && pip install -r requirements.txt
COPY setup.py README.md LICENSE ./
COPY search_spaces search_spaces
COPY raykd raykd
RUN pip install --no-deps .

FROM python:${PYTHON}-slim-${DEBIAN}
# A command that fails in front of a pipe fails as a whole.
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Packages of Debian to add: train.compile needs a compiler, APT="g++".
ARG APT=""
RUN if [ -n "$APT" ]; then \
      apt-get update \
      && echo "$APT" | xargs apt-get install --yes --no-install-recommends \
      && rm -rf /var/lib/apt/lists/*; \
    fi
RUN useradd --uid 1000 --home-dir /work --create-home raykd
COPY --from=build /opt/raykd /opt/raykd
# Runs and caches lie in /work, where a folder of the host belongs. The name of the user is asked for
# where `docker run --user` gave a number that has none.
ENV PATH=/opt/raykd/bin:$PATH HOME=/work USER=raykd PYTHONUNBUFFERED=1
USER raykd
WORKDIR /work
ENTRYPOINT ["raykd"]
CMD ["--help"]
