using System.Collections.Concurrent;
using System.Globalization;
using CsCheck;
using Kvcached.Core.Sockets;
using static Kvcached.Core.Tests.Sockets.SocketMessages;

namespace Kvcached.Core.Tests.Sockets;

/// <summary>
/// Streams of packets that are wrong in every way: whatever comes is a message or a typed fault, never an exception, and what is read
/// is written again as the same bytes.
/// </summary>
public sealed class SocketFuzzTests
{
    private const int InputsPerSchedule = 80;

    /// <summary>Streams tried: 200,000, or 80 for each of <c>KVCACHED_SCHEDULES</c>.</summary>
    private static readonly int InputCount = InputsPerSchedule
        * (int.TryParse(Environment.GetEnvironmentVariable("KVCACHED_SCHEDULES"), CultureInfo.InvariantCulture, out var schedules) ? schedules : 2_500);

    private static readonly (SocketMessageType Type, byte[] Body)[] Corpus =
    [
        .. SocketMessages.All.SelectMany(type => Enumerable.Range(1, 8).Select(seed => Encode(Make(type, SampleStyle.Random, seed)))),
    ];

    [Fact]
    public void PacketsOfAnyKind_AreMessagesOrTypedFaults()
    {
        var tried = 0;
        var messages = 0;
        var faults = new ConcurrentDictionary<SocketFaultKind, int>();
        Gen.Int.Sample(
            seed =>
            {
                Interlocked.Increment(ref tried);
                var (read, fault) = Receive(MakeStream(new Random(seed)));
                Interlocked.Add(ref messages, read);
                faults.AddOrUpdate(fault.Kind, 1, (_, count) => count + 1);
            },
            iter: InputCount);

        Assert.Equal(InputCount, tried);
        Assert.True(messages > InputCount / 10, $"Only {messages} messages were read of {tried} streams.");

        // Reaching the limits takes far longer streams, which other tests send.
        Assert.Equal(
            Enum.GetValues<SocketFaultKind>().Except([SocketFaultKind.MessageTooLong, SocketFaultKind.MessageHasTooManyDescriptors]).Order(),
            faults.Keys.Order());
    }

    private static (int Messages, SocketFault Fault) Receive(List<(byte[] Packet, int Descriptors)> stream)
    {
        var assembler = new FrameAssembler();
        var messages = 0;
        var received = 0;
        foreach (var (packet, descriptors) in stream)
        {
            received += packet.Length;
            var status = assembler.Add(packet, descriptors, out var body);
            Assert.True(assembler.HeldBytes <= received, "More is held than came.");
            if (status == FrameStatus.Incomplete)
            {
                continue;
            }

            if (status == FrameStatus.Fault)
            {
                Assert.False(assembler.Fault.IsNone);
                return (messages, assembler.Fault);
            }

            if (!EngineSocketCodec.TryRead(assembler.Type, body, assembler.DescriptorCount, out var message, out var fault))
            {
                Assert.False(fault.IsNone);
                Assert.NotEmpty(fault.ToRefusal().Detail);
                return (messages, fault);
            }

            messages++;
            var (type, again) = Encode(message);
            Assert.Equal(assembler.Type, type);
            Assert.True(body.SequenceEqual(again), $"A {type} was written otherwise than it was read.");
        }

        return (messages, default);
    }

    private static List<(byte[] Packet, int Descriptors)> MakeStream(Random random)
    {
        var stream = new List<(byte[] Packet, int Descriptors)>();
        for (var count = random.Next(1, 4); count > 0; count--)
        {
            stream.AddRange(MakeMessage(random));
        }

        for (var damages = random.Next(4); damages > 0 && stream.Count > 0; damages--)
        {
            Damage(random, stream);
        }

        return stream;
    }

    /// <summary>A message cut at random places; or random bytes, with a right header or none.</summary>
    private static IEnumerable<(byte[] Packet, int Descriptors)> MakeMessage(Random random)
    {
        var (type, body) = Corpus[random.Next(Corpus.Length)];
        var descriptors = DescriptorsFor(type, random.Next(4));
        switch (random.Next(10))
        {
            case 0:
                var noise = new byte[random.Next(200)];
                random.NextBytes(noise);
                yield return (noise, random.Next(3));
                yield break;
            case 1:
                body = new byte[random.Next(200)];
                random.NextBytes(body);
                break;
            case 2:
                body = [.. body];
                random.NextBytes(body.AsSpan(random.Next(body.Length + 1)));
                break;
            case 3:
                type = (SocketMessageType)random.Next(ushort.MaxValue);
                break;
        }

        while (body.Length > 1 && random.Next(3) == 0)
        {
            var part = random.Next(1, body.Length);
            var brought = random.Next(descriptors + 1);
            descriptors -= brought;
            yield return (Frame(type, isContinued: true, brought, body.AsSpan(0, part)), brought);
            body = body[part..];
        }

        yield return (Frame(type, isContinued: false, descriptors, body), descriptors);
    }

    private static void Damage(Random random, List<(byte[] Packet, int Descriptors)> stream)
    {
        var place = random.Next(stream.Count);
        var (packet, descriptors) = stream[place];
        switch (random.Next(10))
        {
            case 0:
                stream.RemoveAt(place);
                break;
            case 1:
                stream.Insert(random.Next(stream.Count + 1), stream[place]);
                break;
            case 2:
                var other = random.Next(stream.Count);
                (stream[place], stream[other]) = (stream[other], stream[place]);
                break;
            case 3:
                stream[place] = (packet[..random.Next(packet.Length + 1)], descriptors);
                break;
            case 4:
                stream[place] = ([.. packet, (byte)random.Next(256)], descriptors);
                break;
            case 5:
                stream[place] = (packet, random.Next(300));
                break;
            case 6 when packet.Length >= FrameHeader.ByteCount:
                var stated = random.Next(300);
                var frame = Frame((SocketMessageType)(packet[4] | (packet[5] << 8)), random.Next(2) == 0, stated, packet.AsSpan(FrameHeader.ByteCount));
                stream[place] = (frame, stated);
                break;
            case 7 when random.Next(50) == 0:
                stream[place] = (Frame(SocketMessageType.Operate, false, 0, new byte[SocketLimits.MaxFrameBodyBytes + 1]), 0);
                break;
            case 8 when random.Next(10) == 0:
                // Chance alone hardly ever makes a frame that says more follows and brings nothing.
                stream[place] = (Frame(SocketMessageType.Operate, isContinued: true, 0, []), 0);
                break;
            default:
                byte[] changed = [.. packet];
                for (var flips = random.Next(1, 5); flips > 0 && changed.Length > 0; flips--)
                {
                    changed[random.Next(changed.Length)] = (byte)random.Next(256);
                }

                stream[place] = (changed, descriptors);
                break;
        }
    }
}
