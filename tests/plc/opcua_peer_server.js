// A PLC by others: a node-opcua server with our variables, which answers a disposition as program.st does.
// node opcua_peer_server.js FOLDER USER PASSWORD -> "PORT n", then serves until it is ended
const opcua = require("node-opcua-server");
const { DataType, Variant } = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const [rootFolder, user, password] = process.argv.slice(2);
const POLICY = "http://opcfoundation.org/UA/SecurityPolicy#";
const SIGN_AND_ENCRYPT = 3;
const WRITTEN = {
  "Disp.SeqA": DataType.Int32, "Disp.PartId": DataType.String, "Disp.TrigSeq": DataType.Int32,
  "Disp.Result": DataType.Int32, "Disp.Reason": DataType.Int32, "Disp.Confidence": DataType.Float,
  "Disp.Source": DataType.Int32, "Disp.Final": DataType.Boolean, "Disp.ModelVer": DataType.Int32,
  "Disp.SeqB": DataType.Int32, DispSeq: DataType.Int32, AppHb: DataType.Int32,
};
const READ = {
  AckSeq: DataType.Int32, AckCode: DataType.Int32, AckPartId: DataType.String, PlcHb: DataType.Int32,
  PlcBoot: DataType.Int32, TrigSeq: DataType.Int32, TrigPartId: DataType.String, HoldFree: DataType.Int32,
  Mode: DataType.Int32,
};
const EMPTY = { [DataType.Int32]: 0, [DataType.Float]: 0, [DataType.Boolean]: false, [DataType.String]: null };

async function main() {
  const serverCertificateManager = new OPCUACertificateManager({
    rootFolder,
    automaticallyAcceptUnknownCertificate: true,
  });
  await serverCertificateManager.initialize();
  const server = new opcua.OPCUAServer({
    port: 0,
    hostname: "127.0.0.1",
    serverCertificateManager,
    allowAnonymous: false,
    securityPolicies: [`${POLICY}Basic256Sha256`, `${POLICY}Aes256_Sha256_RsaPss`],
    securityModes: [SIGN_AND_ENCRYPT],
    userManager: { isValidUser: (name, secret) => name === user && secret === password },
  });
  await server.initialize();
  const namespace = server.engine.addressSpace.registerNamespace("urn:secondlook:vis");
  const folder = namespace.addFolder("ObjectsFolder", { browseName: "VIS" });
  const variables = {};
  for (const mailbox of ["S01", "H01"]) {
    for (const [name, dataType] of Object.entries({ ...WRITTEN, ...READ })) {
      const full = `VIS_${mailbox}_${name}`;
      const accessLevel = name in WRITTEN ? "CurrentRead | CurrentWrite" : "CurrentRead";
      const value = { dataType, value: EMPTY[dataType] };
      const node = { organizedBy: folder, browseName: full, nodeId: `s=${full}`, dataType, value };
      variables[full] = namespace.addVariable({ ...node, accessLevel, userAccessLevel: accessLevel });
    }
  }
  const get = (name) => variables[`VIS_S01_${name}`].readValue().value.value;
  const set = (name, value) =>
    variables[`VIS_S01_${name}`].setValueFromSource(new Variant({ dataType: READ[name], value }));
  set("PlcBoot", 1);
  set("Mode", 1);
  setInterval(() => {
    set("PlcHb", get("PlcHb") + 1);
    const wanted = get("DispSeq");
    if (wanted !== get("AckSeq") && get("Disp.SeqA") === wanted && get("Disp.SeqB") === wanted) {
      set("AckCode", get("Disp.Final") && get("Disp.Confidence") === 0.25 ? 1 : 6);
      set("AckPartId", get("Disp.PartId"));
      set("AckSeq", wanted);
    }
  }, 10);
  await server.start();
  console.log(`PORT ${server.endpoints[0].port}`);
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
