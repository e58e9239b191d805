// kvcached-test-host FOLDER [GPUS [MIB]]: one engine socket per GPU, FOLDER/HOST-n.sock, each with so much memory. Says "ready" when they are there, then
// does what comes on standard input, a command a line, and ends when that ends: revoke POOL, withdraw POOL, bytes POOL.
using System.Globalization;
using System.Net.Sockets;
using Kvcached.Client.TestHost;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.Gpu.Sockets;
using Kvcached.Gpu.HostMemory;

if (args.Length is < 1 or > 3)
{
    Console.Error.WriteLine("usage: kvcached-test-host FOLDER [GPUS [MIB]]");
    return 2;
}

var gpuCount = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 1;
var capacityBytes = (args.Length > 2 ? long.Parse(args[2], CultureInfo.InvariantCulture) : 512) * ByteSize.MiB;
var gpus = Enumerable.Range(0, gpuCount)
    .Select(i => new HostVirtualMemory(new HostVirtualMemoryOptions { Gpu = GpuId.Parse($"HOST-{i}"), CapacityBytes = capacityBytes, GranularityBytes = 64 * 1024 }))
    .ToArray();
var domain = new TestDomain(gpus);
for (var i = 0; i < gpuCount; i++)
{
    var gpu = i;
    var listener = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
    listener.Bind(new UnixDomainSocketEndPoint(Path.Combine(args[0], $"HOST-{i}.sock")));
    listener.Listen(64);
    new Thread(() =>
    {
        while (true)
        {
            using var accepted = listener.Accept();
            var channel = UnixMessageChannel.Adopt(UnixMessageChannel.Duplicate(accepted.SafeHandle));
            new Peer(channel, (peer, message, descriptors) => domain.Received(gpu, peer, message, descriptors), domain.Ended).Start();
        }
    })
    { IsBackground = true }.Start();
}

Console.WriteLine("ready");
while (Console.ReadLine() is { } line)
{
    Console.WriteLine(domain.Do(line));
}

return 0;
