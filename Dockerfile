# Both images, from the folder that `cargo xtask image` stages (`agora/` and `agora-operator/`: a binary, the libraries
# that it loads, CA roots, a passwd file). The same file works under buildah, docker and Tilt; no shell, no package.
#
# glibc keeps what a burst of requests freed, in an arena for each thread and below a threshold that it raises by itself;
# the services get one arena and its first thresholds (mallopt(3)), so that memory goes back to the node.
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
