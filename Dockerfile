# Both images, from the folder that `cargo xtask image --stage` writes (`agora/` and `agora-operator/`: a binary, the
# libraries that it loads, CA roots, a passwd file). Works with buildah and docker; contains no shell and no package.
#
# After a burst of requests, glibc keeps freed memory in one arena per thread and raises its thresholds. One arena and fixed
# thresholds (mallopt(3)) return the memory to the node.
FROM scratch AS agora
COPY agora/ /
USER 65532
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENV MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072 MALLOC_MMAP_THRESHOLD_=131072
ENTRYPOINT ["/bin/agora"]

FROM scratch AS agora-operator
COPY agora-operator/ /
USER 65532
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENTRYPOINT ["/bin/agora-operator"]
