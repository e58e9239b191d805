using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Text;

namespace Kvcached.Client.Native;

/// <summary>Text that came from C.</summary>
internal static unsafe class AbiText
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Copies a text; or says what is wrong with it.</summary>
    /// <param name="utf8">Ended by a zero byte.</param>
    /// <param name="name">What it is called in the header.</param>
    /// <param name="maxCharacters">Most characters; at least one is needed.</param>
    /// <param name="text">The text, or null.</param>
    /// <param name="problem">What is wrong, or null.</param>
    public static bool TryRead(
        byte* utf8, string name, int maxCharacters, [NotNullWhen(true)] out string? text, [NotNullWhen(false)] out string? problem)
    {
        text = null;
        problem = null;
        if (utf8 == null)
        {
            problem = $"'{name}' is a null pointer.";
            return false;
        }

        try
        {
            text = s_strict.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(utf8));
        }
        catch (DecoderFallbackException)
        {
            problem = $"'{name}' is not UTF-8.";
            return false;
        }

        if (text.Length >= 1 && text.Length <= maxCharacters)
        {
            return true;
        }

        problem = $"'{name}' has {text.Length} characters; allowed are 1 to {maxCharacters}.";
        text = null;
        return false;
    }
}
