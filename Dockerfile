# Both images, from the folder that `cargo xtask image` stages (`agora/` and `agora-operator/`: a binary, the libraries
# that it loads, CA roots, a passwd file). The same file works under buildah, docker and Tilt; no shell, no package.
FROM scratch AS agora
COPY agora/ /
USER 65532
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# Big blocks go back to the kernel when freed: glibc else learns to keep the 19 MiB that each password hash takes.
ENV MALLOC_MMAP_THRESHOLD_=1048576
ENTRYPOINT ["/bin/agora"]

FROM scratch AS agora-operator
COPY agora-operator/ /
USER 65532
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENTRYPOINT ["/bin/agora-operator"]
