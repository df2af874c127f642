# Nodescore as a container image: the service alone (target `serve`, the default), or with all that training needs.
#
#   docker build --tag nodescore .
#   docker build --tag nodescore-train --target train .
#
# What runs is put together from some of Debian's packages and a virtual environment: no shell, no package manager, no
# C compiler, and nothing that has to be written but /data and /tmp. It runs as any user.

# Debian 13: the names of packages below are those of its Python.
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/nodescore/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /nodescore
WORKDIR /source

# What the service imports, in the pinned versions, and nothing that it does not: tests, sources in C, symbols for
# debuggers, what onnxruntime has for C programs and for makers of models, what numba has for graphics cards and for
# libraries of threads that are not there, the first pydantic inside the second, and the colours of 500 languages but
# Python's.
FROM tools AS dependencies
COPY requirements/serve.txt requirements/serve.txt
RUN pip install --quiet --require-hashes --requirement requirements/serve.txt
RUN cd /nodescore/lib/python3*/site-packages \
    && rm -rf onnxruntime/capi/libonnxruntime.so* onnxruntime/transformers onnxruntime/quantization onnxruntime/tools \
        numpy/_core/include numpy/_core/lib numpy/random/lib numpy/_core/_simd.*.so numpy/_core/*_tests.*.so \
        numba/cuda numba/np/ufunc/omppool.*.so numba/np/ufunc/tbbpool.*.so pydantic/v1 \
    && find bcrypt google httptools llvmlite numba numpy uvloop yaml -name '*.so' -exec strip --strip-unneeded {} + \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find . -type f -regex '.*\.\(pyi\|pyx\|pxd\|pxi\|c\|cpp\|h\|hpp\)' -delete \
    && find pygments/lexers -type f ! -name '__init__*' ! -name '_mapping*' ! -name 'python*' -delete

FROM dependencies AS training
COPY requirements/train.txt requirements/train.txt
RUN pip install --quiet --require-hashes --requirement requirements/train.txt
RUN find /nodescore/lib -type d -name tests -prune -exec rm -rf {} + \
    && rm -rf /nodescore/lib/python3*/site-packages/pip* /nodescore/bin/pip*

# Our own code, in a layer of its own, with its loops compiled for any CPU of this architecture: machine code for the
# CPU of the machine that builds would be of no use on others, and would be compiled again at each start.
FROM dependencies AS code
COPY requirements/build.txt requirements/build.txt
RUN pip install --quiet --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY receiver receiver
COPY models models
ENV NUMBA_CPU_NAME=generic
RUN pip install --quiet --no-deps --no-build-isolation . \
    && cd / \
    && python3 -c "from receiver.settings import Settings; from receiver.web.server import build; \
service = build(Settings(data_dir='/tmp/data')); service.start(); service.stop()" \
    && cd /nodescore \
    && mkdir /own \
    && cp --parents --recursive bin/nodescore lib/python3*/site-packages/receiver lib/python3*/site-packages/models \
        lib/python3*/site-packages/nodescore-*.dist-info /own

# Training's scipy asks for f2py.
FROM dependencies AS slim
RUN cd /nodescore/lib/python3*/site-packages && rm -rf numpy/f2py pip* /nodescore/bin/pip*

# What lists the Python packages of each target, ours among them, in CycloneDX's form.
FROM tools AS lister
COPY requirements/sbom.txt requirements/sbom.txt
RUN python3 -m venv /lister \
    && /lister/bin/pip install --quiet --require-hashes --no-deps --requirement requirements/sbom.txt

FROM slim AS slim-sbom
COPY --from=lister /lister /lister
COPY --from=code /own /nodescore
RUN /lister/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /nodescore

FROM training AS training-sbom
COPY --from=lister /lister /lister
COPY --from=code /own /nodescore
RUN /lister/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /nodescore

# A root file system with Python and what it links to, without what is there for debuggers and for Python's own tests.
# The packages' descriptions stay, where scanners look for them, and their licences: gcc-14-base is nothing else.
FROM ${BASE} AS root
WORKDIR /packages
RUN apt-get update \
    && apt-get download base-files gcc-14-base libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 liblzma5 \
        libpython3.13-minimal libpython3.13-stdlib libsqlite3-0 libssl3t64 libstdc++6 libuuid1 libzstd1 netbase \
        python3-minimal python3.13-minimal tzdata zlib1g
RUN mkdir -p /root-fs/var/lib/dpkg/status.d /root-fs/data /root-fs/etc/ssl/certs \
    && for package in *.deb; do \
        dpkg-deb --extract "$package" /root-fs \
        && dpkg-deb --field "$package" > "/root-fs/var/lib/dpkg/status.d/${package%%_*}" \
        || exit 1; \
    done \
    && cd /root-fs \
    && find usr/share/doc -type f ! -name copyright -delete \
    && find usr/lib -type d -name gconv -prune -exec rm -rf {} + \
    && rm -rf usr/share/man usr/share/locale usr/share/lintian usr/share/info usr/share/gcc usr/share/gdb \
        usr/lib/python3*/test usr/lib/python3*/pydoc_data usr/lib/python3*/lib-dynload/*_test*.so \
        usr/lib/*/libmvec.so.1 \
    && ldconfig -r /root-fs \
    && echo 'root:x:0:0:root:/:/sbin/nologin\nnodescore:x:65532:65532::/data:/sbin/nologin' > etc/passwd \
    && echo 'root:x:0:\nnodescore:x:65532:' > etc/group \
    && chown 65532:0 data && chmod 0775 data && chmod 1777 tmp
COPY --from=tools /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ca-certificates.crt

FROM scratch AS base
COPY --from=root /root-fs /
# A copy of the compiled loops goes to /tmp, because numba wants to write where it reads. No linear algebra is done
# here that another thread would help with. onnxruntime would tell its makers how it is used.
ENV PATH=/nodescore/bin:/usr/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CPU_NAME=generic \
    NUMBA_CACHE_DIR=/tmp \
    OPENBLAS_NUM_THREADS=1 \
    ORT_DISABLE_TELEMETRY=1 \
    NODESCORE_LISTEN=0.0.0.0:9201 \
    NODESCORE_DATA_DIR=/data
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 9201
LABEL org.opencontainers.image.title=nodescore \
    org.opencontainers.image.description="Scores Kubernetes nodes for anomalies as their samples arrive" \
    org.opencontainers.image.licenses=Apache-2.0
# Kubernetes has probes of its own. With TLS, give the container another one, or none.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m CMD ["python3", "-I", "-S", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:9201/-/healthy', timeout=4)"]
ENTRYPOINT ["nodescore"]
CMD ["serve"]

FROM base AS train
ENV MPLCONFIGDIR=/tmp/matplotlib
COPY --from=training /nodescore /nodescore
COPY --from=code /own /nodescore
COPY --from=training-sbom /sbom.cdx.json /usr/share/doc/nodescore/sbom.cdx.json

FROM base AS serve
COPY --from=slim /nodescore /nodescore
COPY --from=code /own /nodescore
COPY --from=slim-sbom /sbom.cdx.json /usr/share/doc/nodescore/sbom.cdx.json
