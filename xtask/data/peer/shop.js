// The Vendure shop that `cargo xtask bench peer` measures beside Agora: Vendure's defaults with the plugins of its
// project template, on 127.0.0.1. `node shop.js seed FILE` creates the tables and imports the products of FILE, a JSON
// list of {sku, name, description, cents, stock}; `node shop.js server` and `node shop.js worker` run the shop.
// SPDX-License-Identifier: Apache-2.0
'use strict';
const fs = require('fs');
const path = require('path');
const { AssetServerPlugin } = require('@vendure/asset-server-plugin');
const vendure = require('@vendure/core');
const { populate } = require('@vendure/core/cli');

const [task, file] = process.argv.slice(2);
const { PEER_PORT, PEER_DATABASE, PEER_PASSWORD, PEER_DATABASE_PORT, PEER_FOLDER } = process.env;
const CSV_COLUMNS = [
    'name', 'slug', 'description', 'assets', 'facets', 'optionGroups', 'optionValues', 'sku', 'price', 'taxCategory',
    'stockOnHand', 'trackInventory', 'variantAssets', 'variantFacets',
];

const config = {
    apiOptions: { hostname: '127.0.0.1', port: Number(PEER_PORT) },
    authOptions: {
        tokenMethod: 'bearer',
        // No mail is sent on this machine; the shoppers log in directly after their registration.
        requireVerification: false,
        superadminCredentials: { identifier: 'superadmin', password: PEER_PASSWORD },
    },
    dbConnectionOptions: {
        type: 'postgres', host: '127.0.0.1', port: Number(PEER_DATABASE_PORT), database: PEER_DATABASE,
        username: PEER_DATABASE, password: PEER_PASSWORD, synchronize: task === 'seed', logging: false,
    },
    paymentOptions: { paymentMethodHandlers: [vendure.dummyPaymentHandler] },
    importExportOptions: { importAssetsDir: PEER_FOLDER },
    logger: new vendure.DefaultLogger({ level: vendure.LogLevel.Warn, timestamp: true }),
    plugins: [
        AssetServerPlugin.init({ route: 'assets', assetUploadDir: path.join(PEER_FOLDER, 'assets') }),
        vendure.DefaultSchedulerPlugin.init(),
        vendure.DefaultJobQueuePlugin.init({ useDatabaseForBuffer: true }),
        vendure.DefaultSearchPlugin.init({ bufferUpdates: false, indexStockStatus: true }),
    ],
};

const initialData = {
    defaultLanguage: vendure.LanguageCode.en,
    defaultZone: 'Europe',
    countries: [{ code: 'GB', name: 'United Kingdom', zone: 'Europe' }, { code: 'DE', name: 'Germany', zone: 'Europe' }],
    taxRates: [{ name: 'Standard Tax', percentage: 20 }],
    shippingMethods: [{ name: 'Standard', price: 500 }],
    paymentMethods: [{
        name: 'dummy',
        handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'true' }] },
    }],
    collections: [],
};

function csv(products) {
    const row = ({ sku, name, description, cents, stock }) => [
        name, sku.toLowerCase(), description, '', '', '', '', sku, (cents / 100).toFixed(2), 'standard', stock, 'true', '', '',
    ];
    const quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;
    return [CSV_COLUMNS, ...products.map(row)].map((cells) => cells.map(quoted).join(',')).join('\n');
}

async function seed() {
    const products = JSON.parse(fs.readFileSync(file, 'utf8'));
    const table = path.join(PEER_FOLDER, 'products.csv');
    fs.writeFileSync(table, csv(products));
    // A worker does not listen, so that nothing takes the import for the running shop.
    const app = await populate(async () => (await vendure.bootstrapWorker(config)).app, initialData, table);
    const { totalItems } = await app.get(vendure.ProductService).findAll(vendure.RequestContext.empty(), {});
    await app.close();
    if (totalItems !== products.length) {
        throw new Error(`${totalItems} of ${products.length} products were imported`);
    }
}

async function worker() {
    const started = await vendure.bootstrapWorker(config);
    await started.startJobQueue();
}

const tasks = { seed, worker, server: () => vendure.bootstrap(config) };
tasks[task]().then(() => task === 'seed' && process.exit(0), (error) => {
    console.error(error);
    process.exit(1);
});
