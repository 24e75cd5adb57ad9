# One image for every role. The first argument chooses it: gateway, mproc, operator, or any other command of hydrogen.
# Nothing that is built depends on the processor, so an image for another one needs no emulation.
FROM --platform=$BUILDPLATFORM docker.io/library/node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The `node` package among the development dependencies is for machines without Node 24; its binary comes by a script.
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts \
 && find node_modules build -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' -o -name '.jsii' \) -delete \
 && find node_modules -type f -name '*.js' -exec sed -i '\|^//# sourceMappingURL=data:|d' {} +

FROM docker.io/library/node:24.21.0-bookworm-slim
LABEL org.opencontainers.image.title="hydrogen" \
      org.opencontainers.image.description="A Kubernetes-native API gateway for WebSocket connections" \
      org.opencontainers.image.source="https://github.com/hydrogen-gateway/hydrogen" \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/cli/hydrogen.js ./cli/
COPY --from=build /app/build ./build
COPY --from=build /app/node_modules ./node_modules
# By number, so that a kubelet sees that it is not root; nothing under /app belongs to it.
USER 65532:65532
EXPOSE 8080 8081 9090
ENTRYPOINT ["node", "--max-semi-space-size=16", "--expose-gc", "/app/cli/hydrogen.js"]
