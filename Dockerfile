# A host with its copier, kvctl and the engine's library, for x86-64:
#   docker build -t kvcached .
# An engine's image needs only the library: COPY --from=kvcached /opt/kvcached/lib /opt/kvcached/lib, or the wheel that ./build-wheel.sh makes.

FROM ubuntu:24.04 AS build
# NativeAOT links with clang.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends dotnet-sdk-10.0 clang binutils zlib1g-dev ca-certificates \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN ./publish.sh /opt/kvcached && ./build-native.sh /opt/kvcached/lib && rm -rf /opt/kvcached/traces

FROM ubuntu:24.04
# What .NET itself links with; it is in the folder that was published.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3t64 libstdc++6 zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/kvcached /opt/kvcached
COPY --from=build /source/LICENSE /opt/kvcached/
RUN ln -s /opt/kvcached/kvctl /usr/local/bin/kvctl && mkdir -p --mode=0700 /run/kvcached
# The run directory is /run/kvcached. Mount one of the machine's over it: what is in it must outlive the container.
ENV XDG_RUNTIME_DIR=/run \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /run/kvcached
# Told to stop, it gives memory back.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/opt/kvcached/kvctl", "cluster", "--json"]
ENTRYPOINT ["/opt/kvcached/Kvcached.Host"]
