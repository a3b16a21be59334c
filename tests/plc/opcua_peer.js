// An OPC UA client that knows nothing of us: node-opcua hands one disposition to the program and reads its answer.
// node opcua_peer.js URL POLICY SEQ USER PASSWORD -> one line of JSON
const opcua = require("node-opcua-client");

const [url, policy, number, userName, password] = process.argv.slice(2);
const seq = Number(number);
const int32 = (value) => ({ dataType: opcua.DataType.Int32, value });

async function main() {
  const client = opcua.OPCUAClient.create({
    endpointMustExist: false,
    securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
    securityPolicy: opcua.SecurityPolicy[policy],
    connectionStrategy: { maxRetry: 0 },
  });
  await client.connect(url);
  const session = await client.createSession({ type: opcua.UserTokenType.UserName, userName, password });
  const index = (await session.readNamespaceArray()).indexOf("urn:secondlook:vis");
  const variable = (name) => ({ nodeId: `ns=${index};s=VIS_S01_${name}`, attributeId: opcua.AttributeIds.Value });
  const write = async (values) => {
    const items = Object.entries(values).map(([name, value]) => ({ ...variable(name), value: { value } }));
    return (await session.write(items)).map((code) => code.name);
  };
  const payload = await write({
    "Disp.SeqA": int32(seq),
    "Disp.PartId": { dataType: opcua.DataType.String, value: `N-${seq}` },
    "Disp.TrigSeq": int32(seq),
    "Disp.Result": int32(2),
    "Disp.Reason": int32(0),
    "Disp.Confidence": { dataType: opcua.DataType.Float, value: 0.5 },
    "Disp.Source": int32(1),
    "Disp.Final": { dataType: opcua.DataType.Boolean, value: true },
    "Disp.ModelVer": int32(1),
    "Disp.SeqB": int32(seq),
  });
  const sequence = await write({ DispSeq: int32(seq) });
  const forbidden = await write({ AckSeq: int32(99) });
  let answer = [];
  for (let left = 100; left > 0 && answer[0] !== seq; left -= 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const values = await session.read(["AckSeq", "AckCode", "AckPartId"].map(variable));
    answer = values.map((value) => value.value.value);
  }
  const browsed = (await session.browse(`ns=${index};s=VIS`)).references.length;
  await session.close();
  await client.disconnect();
  console.log(JSON.stringify({ payload, sequence, forbidden, answer, browsed }));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
