# lippycat in a container. Give it the network it is to listen to and the one capability that capturing needs:
#   docker build -t lippycat .
#   docker run --net host --cap-drop ALL --cap-add NET_RAW -v lippycat:/var/lib/lippycat lippycat
FROM rust:1.90-slim-bookworm AS build
# Any libpcap of Debian 12 does.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev libpcap-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin lippycat

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin libpcap0.8 && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/lippycat --shell /usr/sbin/nologin lippycat \
    && install -d -o lippycat -g lippycat -m 0750 /run/lippycat /var/lib/lippycat /var/lib/lippycat/pcap /var/log/lippycat
COPY --from=build /src/target/release/lippycat /usr/bin/lippycat
# The capability reaches the unprivileged user through the file.
RUN setcap cap_net_raw=ep /usr/bin/lippycat
COPY --chown=root:lippycat packaging/lippycat.yaml /etc/lippycat/lippycat.yaml
USER lippycat
VOLUME /var/lib/lippycat
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s CMD ["lippycat", "debug", "health"]
ENTRYPOINT ["lippycat"]
CMD ["sniff", "voip", "--format", "none"]
